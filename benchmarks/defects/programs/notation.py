PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
ROMAN = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]


def evaluated(tokens):
    """The value of an expression in reverse Polish notation."""
    actions = {
        "+": lambda left, right: left + right,
        "-": lambda left, right: left - right,
        "*": lambda left, right: left * right,
        "/": lambda left, right: left / right,
    }
    stack = []
    for token in tokens:
        if token in actions:
            right = stack.pop()
            left = stack.pop()
            stack.append(actions[token](left, right))
        else:
            stack.append(token)
    return stack.pop()


def postfix(tokens):
    """Infix tokens in reverse Polish notation."""
    output, waiting = [], []
    for token in tokens:
        if token not in PRECEDENCE:
            output.append(token)
        else:
            while waiting and PRECEDENCE[token] <= PRECEDENCE[waiting[-1]]:
                output.append(waiting.pop())
            waiting.append(token)
    while waiting:
        output.append(waiting.pop())
    return output


def in_base(number, base):
    """The digits of a positive number in another base."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    written = ""
    while number > 0:
        number, digit = divmod(number, base)
        written = digits[digit] + written
    return written


def roman(number):
    """The number in Roman numerals."""
    written = ""
    for value, letters in ROMAN:
        while number >= value:
            written += letters
            number -= value
    return written


def luhn_valid(digits):
    """Whether the check digit of a card number is right."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2 == 1:
            value *= 2
            if value > 9:
                value -= 9
        total += value
    return total % 10 == 0


def fields_of(line):
    """A line of comma-separated fields, some of them quoted."""
    fields, field, quoted = [], "", False
    for character in line:
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            fields.append(field)
            field = ""
        else:
            field += character
    fields.append(field)
    return fields
