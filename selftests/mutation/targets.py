"""What judges, module by module, and the quick tests that are about each."""

from __future__ import annotations

from dataclasses import dataclass

_COMPARATOR = ("selftests/comparator",)
_MEASURES = tuple(
    f"selftests/yardstick/test_{name}.py" for name in ("breakdown", "floors", "yardstick")
)
_RECORDS = tuple(
    f"selftests/records/test_{name}.py"
    for name in (
        "deviations",
        "divergence",
        "joining",
        "lines",
        "measurement",
        "policy",
        "reading",
        "stages",
    )
)
_VERDICTS = (
    "selftests/pytest_plugin/test_outcomes.py",
    "selftests/reports/test_machine_verdict.py",
    "selftests/reports/test_verdicts.py",
)
_ALIGNMENT = ("selftests/alignment",)
_OUTPUTS = ("selftests/comparator/test_outputs.py", "selftests/outputs")
_RELATIONS = (*_COMPARATOR, "selftests/faults/test_whole_faults.py")
_SWEEP = (*_COMPARATOR, "selftests/sweep/test_together.py")


@dataclass(frozen=True)
class Target:
    """A module, and the tests that are about it; ``words`` are its functions that make words and decide
    nothing; of its mutants one in ``each`` is tried, by so many seconds of tests as are ``enough``."""

    path: str
    tests: tuple[str, ...]
    words: frozenset[str] = frozenset()
    each: int = 1
    enough: float = 3.0


def _records(name: str, *words: str, each: int = 1) -> Target:
    tests = (*_COMPARATOR, *_RECORDS, *_VERDICTS)
    return Target(f"parity/records/{name}.py", tests, frozenset(words), each)


def _alignment(name: str, *words: str, each: int) -> Target:
    return Target(f"parity/alignment/{name}.py", _ALIGNMENT, frozenset(words), each, enough=10.0)


#: The largest modules, and those whose tests take seconds, are sampled.
TARGETS = (
    Target("parity/yardstick.py", (*_MEASURES, *_COMPARATOR, "selftests/outputs")),
    Target(
        "parity/comparator.py", (*_COMPARATOR, *_RECORDS), frozenset({"_repr_pretty_", "_explained"}),
        each=2,
    ),
    _records("contract"),
    Target("parity/outputs/comparing.py", _OUTPUTS),
    Target("fixtures/sweep/sweep.py", _SWEEP, each=2),
    _records("measurement"),
    _records(
        "divergence", "__str__", "command", "known_of", "like", "like_of", "quoted", "repetition",
        "strength_of", "token_of", "_checked", each=2,
    ),
    Target(
        "reports/verdicts.py", (*_VERDICTS, *_RECORDS),
        frozenset((
            "headline", "known", "of", "sentence", "strongest_of", "unseen", "_but_for", "_headline",
            "_said", "_short_of",
        )),
        each=2,
    ),
    Target(
        "reports/texts/verdict.py", _VERDICTS,
        frozenset(
            ("told", "not_run", "text", "_plainly", "_text", "_first", "_figures", "_entry", "_failed")
        ),
    ),
    _records("deviations", "near", "words", "_no_longer", each=2),
    _records("policy", each=2),
    _records("stages"),
    Target("parity/relations.py", _RELATIONS, frozenset({"table"}), each=2),
    Target("parity/breakdown.py", _MEASURES, each=2),
    Target("parity/outputs/pieces.py", _OUTPUTS, each=2),
    Target("parity/outputs/recognition.py", _OUTPUTS, each=8),
    Target("parity/outputs/forms.py", _OUTPUTS, each=4),
    _alignment("confirmation", each=6),
    _alignment("exchange", each=6),
    _alignment("flow", each=4),
    _alignment("layouts", "__str__", each=8),
    _alignment("match", each=8),
    _alignment("parameters", each=8),
    _alignment("search", "_inside", "_why", each=16),
)  # fmt: skip

#: Of all of them.
TESTS = tuple(sorted({test for one in TARGETS for test in one.tests}))
