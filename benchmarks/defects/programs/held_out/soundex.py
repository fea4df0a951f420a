CODES = {}
for letters, code in (("bfpv", "1"), ("cgjkqsxz", "2"), ("dt", "3"), ("l", "4"), ("mn", "5"), ("r", "6")):
    for letter in letters:
        CODES[letter] = code


def soundex(name):
    name = name.lower()
    result = name[0].upper()
    last = CODES.get(name[0])
    for letter in name[1:]:
        code = CODES.get(letter)
        if code and code != last:
            result += code
        if letter not in "hw":
            last = code
    return (result + "000")[:4]
