import re

TOKEN = re.compile(r"\s*(?:(\d+)|(.))")


class Calculator:
    """Integer arithmetic with + - * / (whole division), unary minus and parentheses."""

    def __init__(self, text):
        self.tokens = [int(n) if n else op for n, op in TOKEN.findall(text)]
        self.pos = 0

    def peek(self):
        return self.tokens[self.pos] if self.pos < len(self.tokens) else None

    def take(self):
        token = self.peek()
        self.pos += 1
        return token

    def expression(self):
        value = self.term()
        while self.peek() in ("+", "-"):
            if self.take() == "+":
                value += self.term()
            else:
                value -= self.term()
        return value

    def term(self):
        value = self.factor()
        while self.peek() in ("*", "/"):
            op = self.take()
            right = self.factor()
            value = value * right if op == "*" else value // right
        return value

    def factor(self):
        token = self.take()
        if token == "-":
            return -self.factor()
        if token == "(":
            value = self.expression()
            if self.take() != ")":
                raise ValueError("missing )")
            return value
        if not isinstance(token, int):
            raise ValueError(f"unexpected {token}")
        return token


def arithmetic(text):
    calculator = Calculator(text)
    value = calculator.expression()
    if calculator.peek() is not None:
        raise ValueError("trailing input")
    return value
