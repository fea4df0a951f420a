from bisect import bisect_left


def patience(cards):
    """Lay cards on the leftmost pile whose top is not smaller; the piles, each from bottom to top."""
    piles, tops = [], []
    for card in cards:
        place = bisect_left(tops, card)
        if place == len(piles):
            piles.append([])
            tops.append(None)
        piles[place].append(card)
        tops[place] = card
    return piles
