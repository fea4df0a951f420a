def circular(needs):
    """Whether something needs itself, by way of others."""
    done, under_way = set(), set()

    def visit(name):
        if name in under_way:
            return True
        if name in done:
            return False
        under_way.add(name)
        if any(visit(other) for other in needs.get(name, [])):
            return True
        under_way.remove(name)
        done.add(name)
        return False

    return any(visit(name) for name in needs)
