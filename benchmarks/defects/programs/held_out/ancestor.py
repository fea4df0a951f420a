def path_to(parents, node):
    path = [node]
    while node in parents:
        node = parents[node]
        path.append(node)
    return path


def ancestor(parents, one, other):
    """The lowest common ancestor of two nodes; ``parents`` maps each but the root to its parent."""
    above = set(path_to(parents, one))
    for node in path_to(parents, other):
        if node in above:
            return node
    return None
