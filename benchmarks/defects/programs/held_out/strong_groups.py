def strong_groups(edges):
    """Strongly connected components of a directed graph (Kosaraju), each sorted, the list sorted."""
    ahead, back = {}, {}
    for start, end in edges:
        for one in (start, end):
            ahead.setdefault(one, [])
            back.setdefault(one, [])
        ahead[start].append(end)
        back[end].append(start)

    seen, order = set(), []

    def finish(node):
        seen.add(node)
        for following in ahead[node]:
            if following not in seen:
                finish(following)
        order.append(node)

    for node in ahead:
        if node not in seen:
            finish(node)

    def collect(node, group):
        placed.add(node)
        group.append(node)
        for before in back[node]:
            if before not in placed:
                collect(before, group)
        return group

    placed, groups = set(), []
    for node in reversed(order):
        if node not in placed:
            groups.append(sorted(collect(node, [])))
    return sorted(groups)
