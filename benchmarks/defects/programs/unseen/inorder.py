class Tree:
    def __init__(self, value, left=None, right=None):
        self.value = value
        self.left = left
        self.right = right


def inorder(tree):
    """The values of a binary tree from left to right."""
    if tree is None:
        return
    yield from inorder(tree.left)
    yield tree.value
    yield from inorder(tree.right)
