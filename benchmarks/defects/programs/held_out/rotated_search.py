def rotated_search(items, wanted):
    """Place of ``wanted`` in a sorted list that was rotated, -1 if it is not there."""
    lo, hi = 0, len(items) - 1
    while lo <= hi:
        mid = (lo + hi) // 2
        if items[mid] == wanted:
            return mid
        if items[lo] <= items[mid]:
            if items[lo] <= wanted < items[mid]:
                hi = mid - 1
            else:
                lo = mid + 1
        else:
            if items[mid] < wanted <= items[hi]:
                lo = mid + 1
            else:
                hi = mid - 1
    return -1
