class Node:
    def __init__(self, key, left=None, right=None):
        self.key = key
        self.left = left
        self.right = right


class SearchTree:
    def __init__(self, keys=()):
        self.root = None
        self.size = 0
        for key in keys:
            self.add(key)

    def add(self, key):
        if self.root is None:
            self.root = Node(key)
            self.size += 1
            return
        node = self.root
        while node.key != key:
            branch = "left" if key < node.key else "right"
            child = getattr(node, branch)
            if child is None:
                child = Node(key)
                setattr(node, branch, child)
                self.size += 1
            node = child

    def remove(self, key):
        """Take a key out; a KeyError if it is not there."""
        self.root = self._without(self.root, key)
        self.size -= 1

    def _without(self, node, key):
        if node is None:
            raise KeyError(key)
        if key < node.key:
            node.left = self._without(node.left, key)
        elif key > node.key:
            node.right = self._without(node.right, key)
        elif node.left is None:
            return node.right
        elif node.right is None:
            return node.left
        else:
            follower = node.right
            while follower.left is not None:
                follower = follower.left
            node.key = follower.key
            node.right = self._without(node.right, follower.key)
        return node

    def __iter__(self):
        stack, node = [], self.root
        while stack or node is not None:
            while node is not None:
                stack.append(node)
                node = node.left
            node = stack.pop()
            yield node.key
            node = node.right

    def __len__(self):
        return self.size
