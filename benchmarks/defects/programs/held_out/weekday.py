def weekday(year, month, day):
    """Name of the day of the week (Zeller's congruence)."""
    if month < 3:
        month += 12
        year -= 1
    century, rest = divmod(year, 100)
    h = (day + 13 * (month + 1) // 5 + rest + rest // 4 + century // 4 + 5 * century) % 7
    return ["Saturday", "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday"][h]
