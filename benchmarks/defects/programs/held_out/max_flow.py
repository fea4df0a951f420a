def max_flow(capacity, source, sink):
    """Value of the largest flow; ``capacity`` is a square matrix (Edmonds and Karp)."""
    size = len(capacity)
    residual = [list(row) for row in capacity]
    flow = 0

    while True:
        parent = [None] * size
        parent[source] = source
        queue = [source]
        for node in queue:
            for other in range(size):
                if parent[other] is None and residual[node][other] > 0:
                    parent[other] = node
                    queue.append(other)
        if parent[sink] is None:
            return flow

        step = float("inf")
        node = sink
        while node != source:
            step = min(step, residual[parent[node]][node])
            node = parent[node]

        node = sink
        while node != source:
            residual[parent[node]][node] -= step
            residual[node][parent[node]] += step
            node = parent[node]
        flow += step
