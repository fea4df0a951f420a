import unittest

from prefixes import Trie


class TestTrie(unittest.TestCase):
    def setUp(self):
        self.trie = Trie()
        for word in ("car", "card", "care", "cat", "dog", "do"):
            self.trie.insert(word)

    def test_contains(self):
        self.assertIn("car", self.trie)
        self.assertIn("do", self.trie)

    def test_prefix_is_no_word(self):
        self.assertNotIn("ca", self.trie)
        self.assertNotIn("d", self.trie)

    def test_unknown(self):
        self.assertNotIn("cow", self.trie)
        self.assertEqual(self.trie.complete("x"), [])

    def test_complete(self):
        self.assertEqual(self.trie.complete("car"), ["car", "card", "care"])

    def test_complete_one(self):
        self.assertEqual(self.trie.complete("dog"), ["dog"])

    def test_complete_all(self):
        self.assertEqual(self.trie.complete(""), ["car", "card", "care", "cat", "do", "dog"])

    # hidden

    def test_complete_inner(self):
        self.assertEqual(self.trie.complete("do"), ["do", "dog"])
        self.assertEqual(self.trie.complete("ca"), ["car", "card", "care", "cat"])

    def test_completion_changes_nothing(self):
        self.trie.complete("c")
        self.assertNotIn("c", self.trie)
        self.assertIn("cat", self.trie)
