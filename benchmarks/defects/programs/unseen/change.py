def change(amount, coins):
    """All ways to pay an amount with coins of these kinds, each as a list in falling order."""
    if amount == 0:
        return [[]]
    ways = []
    for place, coin in enumerate(coins):
        if coin <= amount:
            for way in change(amount - coin, coins[place:]):
                ways.append([coin] + way)
    return ways
