def cut_points(graph):
    """The nodes of an undirected graph without which it falls into more parts (Tarjan)."""
    number, low = {}, {}
    found = set()

    def visit(node, parent):
        number[node] = low[node] = len(number)
        children = 0
        for other in graph[node]:
            if other == parent:
                continue
            if other in number:
                low[node] = min(low[node], number[other])
                continue
            children += 1
            visit(other, node)
            low[node] = min(low[node], low[other])
            if parent is not None and low[other] >= number[node]:
                found.add(node)
        if parent is None and children > 1:
            found.add(node)

    for node in graph:
        if node not in number:
            visit(node, None)
    return sorted(found)
