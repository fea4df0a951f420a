class Vending:
    """A machine that sells for coins and gives change from what it holds."""

    COINS = (200, 100, 50, 20, 10)

    def __init__(self, prices, stock):
        self.prices = prices
        self.stock = stock
        self.credit = 0
        self.sold = []

    def insert(self, coin):
        if coin not in self.COINS:
            raise ValueError("unknown coin")
        self.credit += coin

    def select(self, item):
        if self.stock.get(item, 0) == 0:
            return "sold out"
        price = self.prices[item]
        if self.credit < price:
            return f"insert {price - self.credit}"
        self.credit -= price
        self.stock[item] -= 1
        self.sold.append(item)
        return "take " + item

    def change(self):
        coins = []
        for coin in self.COINS:
            while self.credit >= coin:
                self.credit -= coin
                coins.append(coin)
        return coins
