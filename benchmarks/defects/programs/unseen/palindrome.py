def palindrome(text):
    """The longest part that reads the same both ways; the first of several."""
    best = ""
    for center in range(len(text)):
        for right in (center, center + 1):
            left = center
            while left >= 0 and right < len(text) and text[left] == text[right]:
                left -= 1
                right += 1
            if right - left - 1 > len(best):
                best = text[left + 1:right]
    return best
