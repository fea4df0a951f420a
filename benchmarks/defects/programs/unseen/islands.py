def islands(count, bridges):
    """How many groups of islands are left when bridges join them."""
    parent = list(range(count))

    def root(island):
        while parent[island] != island:
            island = parent[island]
        return island

    for one, other in bridges:
        parent[root(one)] = root(other)
    return len({root(island) for island in range(count)})
