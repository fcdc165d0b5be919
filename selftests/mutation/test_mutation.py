"""Mutants are single changes; what is named can still be made."""

import pytest

from selftests.mutation.named import NAMED
from selftests.mutation.operators import mutants, mutated
from selftests.mutation.survivors import KNOWN
from selftests.mutation.targets import TARGETS
from selftests.mutation.trial import ROOT

JUDGE = '''
"""Words stay."""

def holds(ratio: float, limit: float = 3.0) -> bool:
    """Whether it does."""
    if not ratio:
        raise ValueError("no ratio, or " + "none")
    return ratio <= limit and max(ratio, 0) < 10

def told():
    return 1 < 2
'''

EXPECTED = {
    ("3.0", "30.0"), ("not ratio", "ratio"), ("not ratio", "True"), ("not ratio", "False"),
    ("ratio <= limit", "ratio < limit"), ("ratio <= limit", "ratio > limit"), ("max", "min"),
    ("0", "1"), ("10", "11"), ("max(ratio, 0) < 10", "max(ratio, 0) <= 10"),
    ("max(ratio, 0) < 10", "max(ratio, 0) >= 10"),
    ("ratio <= limit and max(ratio, 0) < 10", "ratio <= limit or max(ratio, 0) < 10"),
    ("ratio <= limit and max(ratio, 0) < 10", "ratio <= limit"),
    ("ratio <= limit and max(ratio, 0) < 10", "max(ratio, 0) < 10"),
}  # fmt: skip


@pytest.fixture
def module(tmp_path):
    (tmp_path / "judge.py").write_text(JUDGE)
    return tmp_path / "judge.py"


def test_mutants_of_a_function_are_changes_of_what_it_decides_and_not_of_its_words(module):
    found = mutants(module, but=frozenset({"told"}))
    assert {(one.old, one.new) for one in found} == EXPECTED and len(found) == len(EXPECTED)
    assert {one.where for one in found} == {"holds"}


def test_a_mutant_is_one_change_and_behaves_like_it(module):
    for one in mutants(module):
        made = {}
        exec(mutated(module, one.number), made)
        if (one.old, one.new) == ("ratio <= limit", "ratio < limit"):
            assert not made["holds"](3.0) and made["holds"](2.0)
        if (one.old, one.new) == ("3.0", "30.0"):
            assert made["holds"](3.0) and made["holds"](9.0)


@pytest.mark.parametrize("one", NAMED, ids=lambda one: one.name)
def test_a_named_mistake_can_still_be_made_and_its_tests_are_there(one):
    compile(one.source(ROOT), one.path, "exec")
    assert (ROOT / one.by).is_file()


def test_what_survives_for_a_known_reason_is_a_mutant_still():
    by_path = {target.path: target for target in TARGETS}
    for path in {one.path for one in KNOWN}:
        found = mutants(ROOT / path, by_path[path].words)
        there = {(one.where, one.old, one.new) for one in found}
        gone = [str(o) for o in KNOWN if o.path == path and (o.where, o.old, o.new) not in there]
        assert not gone
