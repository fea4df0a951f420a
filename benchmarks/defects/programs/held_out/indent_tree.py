def indent_tree(text):
    """Nested lists [name, children] of lines that are indented by blanks below their parents."""
    roots = []
    open_nodes = [(-1, roots)]
    for line in text.split("\n"):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        depth = len(line) - len(line.lstrip())
        while open_nodes[-1][0] >= depth:
            open_nodes.pop()
        node = [name, []]
        open_nodes[-1][1].append(node)
        open_nodes.append((depth, node[1]))
    return roots
