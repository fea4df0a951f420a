from programs.inorder import Tree, inorder


def test_nothing():
    assert list(inorder(None)) == []


def test_one():
    assert list(inorder(Tree(1))) == [1]


def test_left():
    assert list(inorder(Tree(2, left=Tree(1)))) == [1, 2]


def test_both():
    tree = Tree(4, Tree(2, Tree(1), Tree(3)), Tree(6, Tree(5), Tree(7)))
    assert list(inorder(tree)) == [1, 2, 3, 4, 5, 6, 7]


def test_right():
    assert list(inorder(Tree(1, right=Tree(2, right=Tree(3))))) == [1, 2, 3]
