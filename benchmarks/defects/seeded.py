"""The defects: each is one place of a program written wrongly, as people do it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True, slots=True)
class Defect:
    """In ``program``, ``right`` stands once; with ``wrong`` in its place, tests fail."""

    name: str
    program: str
    right: str
    wrong: str

    @property
    def text(self) -> str:
        """The program without the defect."""
        return (PROGRAMS / f"{self.program}.py").read_text()

    def files(self) -> dict[str, str]:
        """The project with the defect: the program and its tests."""
        text = self.text
        if text.count(self.right) != 1:
            raise ValueError(f"{self.name}: {self.right!r} stands {text.count(self.right)} times")
        tests = f"test_{self.program}.py"
        return {
            f"{self.program}.py": text.replace(self.right, self.wrong),
            tests: (PROGRAMS / tests).read_text(),
        }


def _d(name: str, right: str, wrong: str) -> Defect:
    return Defect(name, name.partition(".")[0], right, wrong)


DEFECTS: tuple[Defect, ...] = (
    # operators and constants
    _d("divisor.modulo", "first % second)", "first // second)"),
    _d("divisor.product", "first * second //", "first + second //"),
    _d("bits.shift", "power << 1", "power >> 1"),
    _d("bits.bound", "power * 2 <= number", "power * 2 < number"),
    _d("bits.mask", "number &= number - 1", "number |= number - 1"),
    _d("sorting.equal", "if value >= pivot]", "if value > pivot]"),
    _d("sorting.single", "if len(values) <= 1:", "if len(values) == 0:"),
    _d("sorting.shift", "values[hole] = values[hole - 1]", "values[hole] = values[hole + 1]"),
    _d("primes.limit", "range(2, limit + 1)", "range(2, limit)"),
    _d("primes.root", "int(number**0.5) + 1)", "int(number**0.5))"),
    _d("primes.quantor", "if all(number % prime != 0", "if any(number % prime != 0"),
    _d("notation.luhn", "if value > 9:", "if value > 10:"),
    _d("notation.digits", "digits[digit] + written", "written + digits[digit]"),
    _d("notation.roman", "while number >= value:", "if number >= value:"),
    _d("structures.account", "if amount > self.balance:", "if amount >= self.balance:"),
    _d("grids.product", "left[i][k] * right[k][j]", "left[i][k] * right[j][k]"),
    _d("grids.border", "min(len(grid), row + 2)", "min(len(grid), row + 1)"),
    # arguments, variables, attributes
    _d("sorting.counts", "in enumerate(counts)", "in enumerate(values)"),
    _d("searching.rank", "kth_smallest(above, k - len(below) - equal)", "kth_smallest(above, k - len(below))"),
    _d("searching.half", "            low = middle + 1\n        else:\n            high = middle\n    return low",
       "            low = middle\n        else:\n            high = middle\n    return low"),
    _d("notation.operands", "actions[token](left, right)", "actions[token](right, left)"),
    _d("graphs.pairs", "length[i, k] + length[k, j]", "length[i, k] + length[j, k]"),
    _d("graphs.distance", "(distance + length, following)", "(length, following)"),
    _d("graphs.start", "seen = {start}\n    while queue:", "seen = {start}\n    while True:"),
    _d("structures.fast", "fast.following.following", "fast.following"),
    _d("structures.right", "walk(node[2])", "walk(node[1])"),
    _d("grids.pegs", "hanoi(height - 1, start, spare)", "hanoi(height - 1, start, end)"),
    _d("packing.coins", "ways_to_pay(amount - coins[0], coins)", "ways_to_pay(amount - coins[0], coins[1:])"),
    # conditions, base cases
    _d("packing.empty", "if amount < 0 or not coins:", "if amount < 0:"),
    _d("packing.none", "if fewest[total] is None or count", "if count"),
    _d("structures.loop",
       "while fast is not None and fast.following is not None:",
       "while fast.following is not None:"),
    _d("texts.balance", "return not open_ones", "return True"),
    _d("texts.first", "if best is None or counts[word]", "if best is None and counts[word]"),
    _d("nested.depth", "        if isinstance(value, list):\n            deepest = max(deepest, depth(value))",
       "        if isinstance(value, list):\n            deepest = depth(value)"),
    _d("orders.short", "    if len(values) < count:\n        return []\n", ""),
    _d("sequences.width",
       "    if not first or not second:\n        return \"\"",
       "    if not first:\n        return \"\""),
    # statements: missing, moved, doubled
    _d("graphs.visited", "        visited.add(node)\n", ""),
    _d("structures.link", "        previous = link\n", ""),
    _d("texts.rest", "    lines.append(text)\n    return lines", "    return lines"),
    _d("notation.wait", "            waiting.append(token)\n    while waiting:", "    while waiting:"),
    _d("notation.field",
       "            fields.append(field)\n            field = \"\"",
       "            fields.append(field)"),
    _d("orders.swap",
       "                    return order\n    return None",
       "                return order\n    return None"),
    _d("structures.order",
       "            found.append(node[0])\n                walk(node[2])",
       "            walk(node[2])\n                found.append(node[0])"),
    _d("grids.seen", "                    seen.add((r, c))\n", ""),
    # results, beginnings, slices
    _d("sequences.kept", "longest = max(longest, lengths[earlier] + 1)", "longest = lengths[earlier] + 1"),
    _d("sequences.zero", "here = max(0, here + value)", "here = here + value"),
    _d("sequences.both", "common_subsequence(first[1:], second[1:])", "common_subsequence(first[1:], second)"),
    _d("sequences.diagonal", "ends.get((i - 1, j - 1), 0)", "ends.get((i - 1, j), 0)"),
    _d("sequences.row", "row = list(range(len(second) + 1))", "row = list(range(len(second)))"),
    _d("sequences.last", "        row.append(1)\n        built", "        built"),
    _d("sequences.windows", "range(len(values) - width + 1)", "range(len(values) - width)"),
    _d("sequences.front", "values[-places:] + values[:-places]", "values[places:] + values[:places]"),
    _d("orders.subsets",
       "return smaller + [[first] + subset for subset in smaller]",
       "return [[first] + subset for subset in smaller]"),
    _d("orders.empty", "    if not values:\n        return [[]]", "    if not values:\n        return []"),
    _d("nested.yield", "            yield value\n", "            yield [value]\n"),
    _d("primes.one", "return [number] if number > 1 else []", "return []"),
    _d("searching.newton", "abs(number - guess**2) > precision", "abs(number - guess) > precision"),
    _d("grids.rows", "[[0] * len(right[0]) for _ in left]", "[[0] * len(right[0])] * len(left)"),
    _d("grids.end", "max(joined[-1][1], end)", "end"),
    _d("texts.case", "character.lower() for character", "character for character"),
    _d("graphs.groups", "group[node] = group[first]", "group[node].update(group[first])"),
)  # fmt: skip
