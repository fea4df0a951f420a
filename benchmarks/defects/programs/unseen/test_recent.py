from programs.recent import Recent


def test_it_keeps_what_fits():
    recent = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert (recent.get("a"), recent.get("b")) == (1, 2)


def test_the_oldest_goes():
    recent = Recent(2)
    for key in "abc":
        recent.put(key, key)
    assert recent.get("a") is None
    assert recent.get("c") == "c"


def test_what_was_read_stays():
    recent = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    recent.get("a")
    recent.put("c", 3)
    assert recent.get("a") == 1
    assert recent.get("b") is None


def test_what_was_written_again_stays():
    recent = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    recent.put("a", 3)
    recent.put("c", 4)
    assert recent.get("a") == 3
    assert recent.get("b") is None
