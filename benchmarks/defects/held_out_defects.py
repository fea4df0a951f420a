"""Defects that were written before their author had read an operator, and run on the engine first as it was.

Each is a classical program with one defect of one or two lines. Its tests are cases in lines of JSON in a package
``programs`` with a folder of tests, or a test module beside the program. What stands below an empty line, or below
``# hidden``, is kept from the engine: it tells an edit that is right from one that only passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.defects.unseen_defects import by_cases

PROGRAMS = Path(__file__).parent / "programs" / "held_out"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """In ``name``'s program, ``right`` stands once; with ``wrong`` in its place, tests fail."""

    name: str
    right: str
    wrong: str

    @property
    def text(self) -> str:
        """The program without the defect."""
        return (PROGRAMS / f"{self.name}.py").read_text()

    def files(self, *, right: bool = False, hidden: bool = False) -> dict[str, str]:
        """The project with the defect, or without it; its tests alone, or with those that are kept from the engine."""
        if self.text.count(self.right) != 1:
            raise ValueError(f"{self.name}: {self.right!r} stands {self.text.count(self.right)} times")
        text = self.text if right else self.text.replace(self.right, self.wrong)
        cases = PROGRAMS / f"{self.name}.json"
        if cases.exists():
            seen, _, rest = cases.read_text().partition("\n\n")
            return by_cases(self.name, text, seen + "\n" + (rest if hidden else ""))
        tests = (PROGRAMS / f"test_{self.name}.py").read_text()
        if not hidden:
            tests = tests.partition("# hidden")[0].rstrip() + "\n"
        return {f"{self.name}.py": text, f"test_{self.name}.py": tests}


HELD_OUT: tuple[HeldOut, ...] = (
    HeldOut("cheapest_route", "best[r, c] = total", "best[r, c] = cost"),
    HeldOut("two_teams", "elif team[other] == team[current]:", "elif team[other] == team[person]:"),
    HeldOut("strong_groups", "for before in back[node]:", "for before in ahead[node]:"),
    HeldOut("cut_points", "low[other] >= number[node]", "low[other] > number[node]"),
    HeldOut("knight_moves", "        visited |= reached\n", ""),
    HeldOut("max_flow", "            residual[node][parent[node]] += step\n", ""),
    HeldOut("word_ladder", "deque([(begin, 1)])", "deque([(begin, 0)])"),
    HeldOut("rotated_search", "if items[lo] <= wanted < items[mid]:", "if wanted < items[mid]:"),
    HeldOut("staircase", "col = len(matrix[0]) - 1", "col = len(matrix) - 1"),
    HeldOut("ship_load", "low = max(parcels)", "low = min(parcels)"),
    HeldOut("radix", "    nums = [n - shift for n in nums]\n    exp = 1\n    top = max(nums)\n",
            "    top = max(nums)\n    nums = [n - shift for n in nums]\n    exp = 1\n"),
    HeldOut("flag", "            large -= 1\n", "            large -= 1\n            i += 1\n"),
    HeldOut("arithmetic", "right = self.factor()", "right = self.term()"),
    HeldOut("csv_line", "    fields.append(field)\n    return fields",
            "    if field:\n        fields.append(field)\n    return fields"),
    HeldOut("query", "part.partition(", "part.rpartition("),
    HeldOut("unpack", "            current = \"\"\n            number = 0\n", "            current = \"\"\n"),
    HeldOut("versions", "not self.pre, self.pre)", "bool(self.pre), self.pre)"),
    HeldOut("inverse", "egcd(number % modulus, modulus)", "egcd(modulus, number % modulus)"),
    HeldOut("polynomial", "if not terms:", "if power == len(coefficients) - 1:"),
    HeldOut("determinant", "        sign = -sign\n", ""),
    HeldOut("happy", "        seen.add(n)\n", ""),
    HeldOut("ternary", "            n += 1\n", ""),
    HeldOut("robber", "i += 2", "i += 1"),
    HeldOut("chain_order", "cost(cut + 1, last)", "cost(cut, last)"),
    HeldOut("decodings", "10 <= int(", "1 <= int("),
    HeldOut("word_break", "known = {len(text): [[]]}", "known = {len(text): []}"),
    HeldOut("justify", "if letters + len(line) + len(word) > width:", "if letters + len(word) > width:"),
    HeldOut("occurrences", "i - k + 1)\n            k = table[k - 1]", "i - k + 1)\n            k = 0"),
    HeldOut("vigenere", "key[position % len(key)]", "key[position]"),
    HeldOut("soundex", "if letter not in \"hw\":", "if letter in \"hw\":"),
    HeldOut("snake", "before_lower = i + 1 < len(name)", "before_lower = i < len(name)"),
    HeldOut("thousands", "while len(whole) > 3:", "while len(whole) >= 3:"),
    HeldOut("add_months", "year % 100 != 0 or year % 400 == 0", "year % 100 != 0 and year % 400 == 0"),
    HeldOut("duration", "count, seconds = divmod(", "count, _ = divmod("),
    HeldOut("weekday", "        year -= 1\n", ""),
    HeldOut("search_tree", "self._without(node.right, follower.key)", "self._without(node.right, key)"),
    HeldOut("zigzag", "forward = not forward", "forward = False"),
    HeldOut("prefixes", "return node is not None and self.END in node", "return node is not None"),
    HeldOut("diameter", "first, second = d, first", "first = d"),
    HeldOut("ancestor", "path = [node]", "path = []"),
    HeldOut("chain", "before = first", "before = second"),
    HeldOut("chunked", "        if not chunk:\n            return\n", ""),
    HeldOut("merged", "(following, index, iterator))\n            break\n", "(following, index, iterator))\n"),
    HeldOut("peekable", "item, self._held = self._held, self._NOTHING", "item = self._held"),
    HeldOut("queens", "row - col in down:", "row - col in up:"),
    HeldOut("sums", "found.append(chosen[:])", "found.append(chosen)"),
    HeldOut("flood", "    if old == colour:\n        return picture\n", ""),
    HeldOut("gray", "for code in reversed(shorter)", "for code in shorter"),
    HeldOut("comments", "            elif ch != \"*\":\n", "            else:\n"),
    HeldOut("vending", "self.credit -= price", "self.credit = 0"),
    HeldOut("merge_intervals", "result[-1][1] = max(result[-1][1], end)", "result[-1][1] = end"),
    HeldOut("subtract", "left.append([start, low])\n        start = high",
            "left.append([start, low])\n            start = high"),
    HeldOut("rotate", "offset = i - ring", "offset = i"),
    HeldOut("life", "if dx or dy:", "if dx and dy:"),
    HeldOut("medians", "(high[0] - low[0]) / 2", "(high[0] + low[0]) / 2"),
    HeldOut("expiring", "        self.entries.pop(key, None)\n", ""),
    HeldOut("table", "max(widths[i], len(str(cell)))", "max(widths[i], len(cell))"),
    HeldOut("bowling", "10 + rolls[i + 1] + rolls[i + 2]", "10 + rolls[i + 1]"),
    HeldOut("winner", "board[i][2 - i]", "board[i][-i]"),
    HeldOut("huffman", "        heapq.heappush(heap, joined)\n", ""),
    HeldOut("ring", "[self._start] = None\n        self._start = (self._start + 1) % len(self._slots)",
            "[self._start] = None\n        self._start = (self._start + 1) % self._count"),
    HeldOut("ledger", "lot[0] -= taken", "lot[0] -= amount"),
    HeldOut("fraction", "if bottom < 0:", "if top < 0:"),
    HeldOut("patience", "tops[place] = card", "tops[-1] = card"),
    HeldOut("elevator", "        position = floor\n", ""),
    HeldOut("rate_limit", "        if len(allowed) < limit:\n            allowed.append(now)\n",
            "        allowed.append(now)\n        if len(allowed) <= limit:\n"),
    HeldOut("indent_tree", "open_nodes[-1][0] >= depth", "open_nodes[-1][0] > depth"),
    HeldOut("majority", "            lead = 1\n", ""),
    HeldOut("rain", "water += left_max - heights[left]", "water += heights[left] - left_max"),
)  # fmt: skip
