"""Mistakes in judging that once went unnoticed, and which tests must notice them: a text of a file and
what stands there instead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

COMPARATOR = "parity/comparator.py"
YARDSTICK = "parity/yardstick.py"

JUDGES = "selftests/comparator/test_comparator.py"
DECLARES = "selftests/comparator/test_contract.py"
MEASURES = "selftests/yardstick/test_yardstick.py"
DRAWS = "selftests/inputs/test_inputs.py"
COVERS = "selftests/faults/test_whole_faults.py"
FLOORS = "selftests/yardstick/test_floors.py"
LIMITS = "selftests/yardstick/test_limits.py"


@dataclass(frozen=True)
class Named:
    """``old`` stands in the file once; ``by`` are the tests of which one must fail with ``new`` there."""

    name: str
    path: str
    old: str
    new: str
    by: str

    def source(self, root: Path) -> str:
        """The file with the mistake in it. Raises ValueError where it is no longer as it was."""
        text = (root / self.path).read_text("utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.path} does not have {self.old!r} once")
        return text.replace(self.old, self.new)


NAMED = (
    Named(
        "token floors by the smallest twin", YARDSTICK,
        "own = np.maximum.reduce(list(by_run.values()))",
        "own = np.minimum.reduce(list(by_run.values()))", FLOORS,
    ),
    Named(
        "the floor of the smallest twin", YARDSTICK,
        "setter = max(errors, key=errors.__getitem__)",
        "setter = min(errors, key=errors.__getitem__)", MEASURES,
    ),
    Named(
        "a limit ten times as high", YARDSTICK,
        "self.ratio <= self.limit and", "self.ratio <= 10 * self.limit and", FLOORS,
    ),
    Named(
        "a limit of one token ten times as high", YARDSTICK,
        "self.token_ratio <= self.token_limit", "self.token_ratio <= 10 * self.token_limit", MEASURES,
    ),
    Named(
        "a limit of a tap ten times as high", "parity/families/vit_taps.py",
        "(1.5, 4.0, 0.91, 1.42, 22.26)", "(15.0, 40.0, 0.91, 1.42, 22.26)", LIMITS,
    ),
    Named(
        "declared and not compared passes", COMPARATOR,
        "elif self._open or not (self.taken or self.accounts[-1].waived):",
        "elif not self.taken:", JUDGES,
    ),
    Named(
        "nothing compared passes", COMPARATOR,
        "elif self._open or not (self.taken or self.accounts[-1].waived):", "elif self._open:", JUDGES,
    ),
    Named(
        "a tap not shown is Meta's own", COMPARATOR,
        "compared = yardstick.compare(known[tap], shown.get(tap))",
        "compared = yardstick.compare(known[tap], shown.get(tap, known[tap].meta))", JUDGES,
    ),
    Named(
        "the last tap of a place skipped", COMPARATOR,
        "for tap in names:", "for tap in names[:-1] or names:", JUDGES,
    ),
    Named(
        "only pinned inputs may fail", COMPARATOR,
        "if verdict.words:", "if verdict.words and self._now in self.pinned:", JUDGES,
    ),
    Named(
        "only drawn inputs may fail", COMPARATOR,
        "if verdict.words:", "if verdict.words and self._now not in self.pinned:", JUDGES,
    ),
    Named(
        "the gate by the best image", COMPARATOR,
        "Gate(float(cosine.min()), float(np.abs(ours - theirs).max()))",
        "Gate(float(cosine.max()), float(np.abs(ours - theirs).max(-1).min()))", JUDGES,
    ),
    Named(
        "the gate by cls alone", COMPARATOR,
        "one in reference.family.published if", "one in reference.family.published[:1] if", JUDGES,
    ),
    Named(
        "the gate by pooled alone", COMPARATOR,
        "one in reference.family.published if", "one in reference.family.published[1:] if", JUDGES,
    ),
    Named(
        "the last block not declared", "parity/records/contract.py",
        "places[0], places[-1], places[1:-1]", "places[0], places[-1], places[1:-2]", DECLARES,
    ),
    Named(
        "patches of a file not declared", "parity/families/vit.py",
        'returned=("cls", "patches", "pooled")', 'returned=("cls", "pooled")', DECLARES,
    ),
    Named(
        "a piece of a file's output not compared", "parity/outputs/comparing.py",
        "for key in names]", "for key in names if self.pieces[key].tap != \"patches\"]",
        "selftests/comparator/test_outputs.py",
    ),
    Named(
        "square grids alone are drawn", "parity/inputs/strategies.py",
        "return st.tuples(st.just(rows), _sides(most, favoured=rows))",
        "return st.tuples(st.just(rows), st.just(min(rows, most)))", DRAWS,
    ),
    Named(
        "square grids alone are pinned", "parity/inputs/chosen.py",
        "SMALL = Input(2, (2, 8), seed=1)", "SMALL = Input(2, (4, 4), seed=1)", DRAWS,
    ),
    Named(
        "one image alone is drawn", "parity/inputs/strategies.py",
        "batch = draw(st.integers(1, min(4, area // (grid[0] * grid[1]))))",
        "batch = draw(st.integers(1, 1))", DRAWS,
    ),
    Named(
        "one image alone is pinned", "parity/inputs/chosen.py",
        "SMALL = Input(2, (2, 8), seed=1)", "SMALL = Input(1, (2, 8), seed=1)", DRAWS,
    ),
    Named(
        "no large grid for the whole model", "parity/inputs/chosen.py",
        'Input(1, (33, 32), seed=15, content="photograph", scale=10.0)',
        'Input(1, (3, 2), seed=15, content="photograph", scale=10.0)', COVERS,
    ),
    Named(
        "the truth in float32", "fixtures/reference/computed.py",
        "torch.float64", "torch.float32", "selftests/reference/test_truth.py",
    ),
    Named(
        "the truth fed Meta's rounding alone", "fixtures/reference/computed.py",
        "_runs |= {name: (meta, how) for name, how in TWINS.items()}",
        "_runs |= {}", "selftests/reference/test_truth.py",
    ),
)  # fmt: skip
