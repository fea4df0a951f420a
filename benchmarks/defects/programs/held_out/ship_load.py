def days_needed(parcels, capacity):
    days, load = 1, 0
    for parcel in parcels:
        if load + parcel > capacity:
            days += 1
            load = 0
        load += parcel
    return days


def ship_load(parcels, days):
    """Least capacity of a ship that carries all parcels, in order, within so many days."""
    low = max(parcels)
    high = sum(parcels)
    while low < high:
        middle = (low + high) // 2
        if days_needed(parcels, middle) <= days:
            high = middle
        else:
            low = middle + 1
    return low
