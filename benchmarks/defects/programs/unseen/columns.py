import string


def columns(number):
    """The name of a column of a spreadsheet: 1 is A, 27 is AA."""
    name = ""
    while number > 0:
        place = (number - 1) % 26
        number = (number - 1) // 26
        name = string.ascii_uppercase[place] + name
    return name
