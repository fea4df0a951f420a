def bellman(edges, source, nodes):
    """The shortest distance of each node from the source; edges map (from, to) to a weight."""
    distance = {node: float("inf") for node in nodes}
    distance[source] = 0
    for _ in range(len(nodes) - 1):
        for (start, end), weight in edges.items():
            if distance[start] + weight < distance[end]:
                distance[end] = distance[start] + weight
    return distance
