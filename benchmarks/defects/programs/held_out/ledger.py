class Ledger:
    """First in, first out: lots of a stock that were bought, and the gain when some are sold."""

    def __init__(self):
        self.lots = []

    def buy(self, amount, price):
        self.lots.append([amount, price])

    def held(self):
        return sum(amount for amount, _ in self.lots)

    def sell(self, amount, price):
        if amount > self.held():
            raise ValueError("not so many")
        gain = 0
        while amount > 0:
            lot = self.lots[0]
            taken = min(amount, lot[0])
            gain += taken * (price - lot[1])
            lot[0] -= taken
            amount -= taken
            if lot[0] == 0:
                self.lots.pop(0)
        return gain
