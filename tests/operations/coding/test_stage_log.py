"""The log of a stage: whatever is said, it stays bounded and can be stored."""

from __future__ import annotations

import threading

from operations.coding.stage_log import LIMIT, StageLog


def test_what_is_said_is_kept_in_order() -> None:
    log = StageLog()
    for number in range(100):
        log.say(f"line {number}")
    assert log.text().splitlines() == [f"line {number}" for number in range(100)]


def test_a_chatty_stage_keeps_its_beginning_and_its_end() -> None:
    log = StageLog()
    for number in range(50_000):
        log.say(f"line {number} {'x' * 40}")
    text = log.text()
    assert len(text) <= LIMIT
    assert text.startswith("line 0 ")
    assert text.splitlines()[-1].startswith("line 49999 ")
    assert text.count("was cut out") == 1
    whole = "".join(f"line {number} {'x' * 40}\n" for number in range(50_000))
    assert log.kept() == (text, len(whole)), "what was cut out is counted"
    assert text.endswith(whole[-60_000:]), "the end is whole"


def test_one_endless_line_is_cut() -> None:
    log = StageLog()
    for _twice in range(8):
        log.say("y" * 10_000_000)
    assert len(log.text()) <= LIMIT


def test_what_cannot_be_stored_is_replaced() -> None:
    log = StageLog()
    log.say("a\0b \ud800 c")
    assert log.text() == "ab ? c\n"


def test_only_news_is_saved() -> None:
    log = StageLog()
    assert log.unsaved() is None
    log.say("a")
    assert (log.unsaved(), log.unsaved()) == (("a\n", 2), None)


def test_reading_while_writing_never_breaks_a_line() -> None:
    log = StageLog()

    def write() -> None:
        for _ in range(5_000):
            log.say("z" * 50)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert set(log.text()) <= {"z", "\n"} or "cut out" in log.text()
    writer.join()
    assert log.text().startswith("z" * 50 + "\n")
