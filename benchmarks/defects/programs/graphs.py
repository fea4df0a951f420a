from collections import deque
from heapq import heappop, heappush


def reachable(graph, start, goal):
    """Whether the goal can be reached, breadth first."""
    queue = deque([start])
    seen = {start}
    while queue:
        node = queue.popleft()
        if node == goal:
            return True
        for following in graph.get(node, []):
            if following not in seen:
                seen.add(following)
                queue.append(following)
    return False


def found_in_depth(graph, start, goal):
    """Whether the goal can be reached, depth first."""
    visited = set()

    def search(node):
        if node in visited:
            return False
        if node == goal:
            return True
        visited.add(node)
        return any(search(following) for following in graph.get(node, []))

    return search(start)


def distances(graph, start):
    """The length of the shortest way to each node; graph[node] maps neighbours to lengths."""
    found = {}
    heap = [(0, start)]
    while heap:
        distance, node = heappop(heap)
        if node in found:
            continue
        found[node] = distance
        for following, length in graph.get(node, {}).items():
            if following not in found:
                heappush(heap, (distance + length, following))
    return found


def all_distances(count, edges):
    """Shortest ways between all pairs of nodes below count; edges maps pairs to lengths."""
    length = {(i, j): float("inf") for i in range(count) for j in range(count)}
    length.update({(i, i): 0 for i in range(count)})
    length.update(edges)
    for k in range(count):
        for i in range(count):
            for j in range(count):
                length[i, j] = min(length[i, j], length[i, k] + length[k, j])
    return length


def ordered(graph):
    """Nodes after all that they depend on."""
    done = []

    def visit(node):
        if node in done:
            return
        for needed in graph[node]:
            visit(needed)
        done.append(node)

    for node in sorted(graph):
        visit(node)
    return done


def spanning_tree(edges):
    """The cheapest edges that connect all nodes; edges maps pairs to costs."""
    group = {}
    for pair in edges:
        for node in pair:
            group[node] = {node}
    chosen = set()
    for first, second in sorted(edges, key=edges.get):
        if group[first] is not group[second]:
            chosen.add((first, second))
            group[first] |= group[second]
            for node in group[second]:
                group[node] = group[first]
    return chosen
