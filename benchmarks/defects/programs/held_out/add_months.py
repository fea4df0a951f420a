LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_length(year, month):
    if month == 2 and is_leap(year):
        return 29
    return LENGTHS[month - 1]


def add_months(date, months):
    """[year, month, day] so many months later; the day is at most the last of that month."""
    year, month, day = date
    count = year * 12 + (month - 1) + months
    year, month = count // 12, count % 12 + 1
    return [year, month, min(day, month_length(year, month))]
