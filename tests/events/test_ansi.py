"""Terminal output as markup: colours stay, everything that acts goes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.ansi import marked


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m.", '<span class="ansi-1">red</span>.'),
        ("\x1b[1;32mok\x1b[22m still", '<span class="ansi-2 ansi-bold">ok</span><span class="ansi-2"> still</span>'),
        ("\x1b[94mbright\x1b[39m", '<span class="ansi-4">bright</span>'),
        ("\x1b[38;5;196mcube\x1b[m", '<span class="ansi-1">cube</span>'),
        ("\x1b[38;2;10;200;10mtrue\x1b[m", '<span class="ansi-2">true</span>'),
        ("\x1b[38;5;240mgrey\x1b[m", "grey"),
        ("\x1b[48;5;1mbehind\x1b[m", "behind"),
        ("\x1b[38;5mcut \x1b[38;2;1mshort", "cut short"),
        ("\x1b[7;4mx\x1b[27m", '<span class="ansi-inverse ansi-underline">x</span>'),
        ("\x1b[7;9mx\x1b[27my", '<span class="ansi-inverse ansi-struck">x</span><span class="ansi-struck">y</span>'),
        ("<b>&\x1b[31m<i>", '&lt;b&gt;&amp;<span class="ansi-1">&lt;i&gt;</span>'),
        ("\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07", "link"),
        ("\x1b]52;c;aGk=\x07\x1b]0;title\x07\x1b[2J\x1b[5;5Hhere", "here"),
        ("\x1b]8;;x\x1b[31mred", '8;;x<span class="ansi-1">red</span>'),
        ("\x1b[999999999999mbig", "big"),
    ],
)  # fmt: skip
def test_colours_and_weights_become_classes_and_nothing_else_is_left(text: str, markup: str) -> None:
    assert marked(text) == markup


@given(st.text(alphabet=st.sampled_from("\x1b[]0123456789;:mJHx<>&\"'\x07\n\x9b\u202e"), max_size=200))
def test_whatever_comes_the_markup_holds_only_our_spans(text: str) -> None:
    shown = re.sub(r'<span class="[a-z0-9 -]+">|</span>', "", marked(text))
    assert not re.search("[<>\"'\x1b\x07\x9b\u202e]", shown)
