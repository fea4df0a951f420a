class Trie:
    END = ""

    def __init__(self):
        self.root = {}

    def insert(self, word):
        node = self.root
        for letter in word:
            node = node.setdefault(letter, {})
        node[self.END] = True

    def find(self, prefix):
        node = self.root
        for letter in prefix:
            if letter not in node:
                return None
            node = node[letter]
        return node

    def __contains__(self, word):
        node = self.find(word)
        return node is not None and self.END in node

    def complete(self, prefix):
        """All words with that prefix, sorted."""
        node = self.find(prefix)
        if node is None:
            return []
        words = []
        self._collect(node, prefix, words)
        return words

    def _collect(self, node, word, words):
        if self.END in node:
            words.append(word)
        for letter in sorted(node):
            if letter != self.END:
                self._collect(node[letter], word + letter, words)
