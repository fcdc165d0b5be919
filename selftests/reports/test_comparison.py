"""Two runs beside each other: what changed, on the inputs that both have."""

import pytest
from dinov3_parity.parity.records import reader
from dinov3_parity.reports import changes as comparison
from dinov3_parity.reports.changes import (
    BETTER,
    DEPARTS,
    GONE,
    HOLDS,
    NEW,
    WORSE,
    compare,
    figure,
)
from msgspec.structs import replace

from selftests.support.records import recorded
from selftests.support.records.measurements import clean, taken


def kinds(before, after):
    return [(change.kind, change.known.tap) for change in compare(before, after).changes]


def changed(tap, ratio, **more):
    return [
        replace(m, ratio=ratio, token_ratio=ratio, passed=ratio <= 4, **more) if m.tap == tap else m
        for m in clean()
    ]


def test_the_same_run_twice_shows_no_change():
    found = compare(clean(), clean())
    assert found.changes == [] and found.words == f"{len(clean())} places in both runs: no change"


def test_what_crosses_the_limit_comes_first():
    assert kinds(clean(), changed("norm1", 9.0)) == [(DEPARTS, "norm1")]
    assert kinds(changed("norm1", 9.0), clean()) == [(HOLDS, "norm1")]


def test_a_change_within_the_limit_counts_from_half_as_much_again():
    assert kinds(clean(), changed("norm1", 1.4)) == [(WORSE, "norm1")]
    assert kinds(clean(), changed("norm1", 1.3)) == []
    assert kinds(changed("norm1", 1.4), clean()) == [(BETTER, "norm1")]
    assert kinds(changed("norm1", 9.0), changed("norm1", 90.0)) == [(WORSE, "norm1")]


def test_a_place_that_only_one_run_has_is_new_or_gone():
    fewer = [m for m in clean() if m.tap != "attn.probs"]
    assert kinds(fewer, clean()) == [(NEW, "attn.probs")]
    assert kinds(clean(), fewer) == [(GONE, "attn.probs")]


def test_only_inputs_that_both_runs_have_are_compared():
    elsewhere = replace(taken("norm1", 3.9), seed=9)
    found = compare(clean(), [*clean(), elsewhere])
    assert found.changes == [] and found.unlike == 0
    found = compare(clean(), [*(m for m in clean() if m.tap != "norm1"), elsewhere])
    assert [c.kind for c in found.changes] == [WORSE] and found.unlike == 1


def test_a_runtimes_version_is_no_part_of_its_place():
    old = [replace(m, runtime="onnxruntime 1.23.2 size all") for m in clean()]
    new = [replace(m, runtime="onnxruntime 1.32.0 size all") for m in clean()]
    other = [replace(m, runtime="onnxruntime 1.32.0 batch all") for m in clean()]
    assert kinds(old, new) == [] and {kind for kind, _ in kinds(old, other)} == {NEW, GONE}


def test_of_several_comparisons_on_an_input_the_strongest_counts():
    for twice in ([9.0, 0.9], [0.9, 9.0]):
        found = [*(m for m in clean() if m.tap != "norm1"), *(taken("norm1", r) for r in twice)]
        assert kinds(clean(), found) == [(DEPARTS, "norm1")]


def test_how_many_times_stronger_is_told_by_what_is_stronger():
    one = [replace(taken("norm1", 1.0), token_ratio=token) for token in (2.0, 5.0)]
    (change,) = compare(one[:1], one[1:]).changes
    assert (change.kind, change.factor) == (WORSE, pytest.approx(2.5))
    assert [figure(m) for m in one] == ["2ᵗ", "5ᵗ"]
    assert [figure(m) for m in (taken("norm1", 1.5), None)] == ["1.5", "–"]
    broken = taken("norm1", float("nan"), problem="absent: not shown")
    (change,) = compare(one[:1], [broken]).changes
    assert (change.kind, change.factor, figure(broken)) == (DEPARTS, None, "absent: not shown")


def test_recorded_runs_differ_where_they_were_made_to(tmp_path):
    before = reader.read(recorded.clean(tmp_path / "clean"))
    after = reader.read(recorded.worse(tmp_path / "worse"))
    found = compare(before.found, after.found)

    def places(*wanted):
        return {
            (c.known.stage, c.known.mode, c.known.block, c.known.tap) for c in found.of(*wanted)
        }

    assert places(DEPARTS, WORSE) == {tuple(place) for place in recorded.WORSE}
    assert places(DEPARTS) == {tuple(next(iter(recorded.WORSE)))}
    assert places(BETTER) == {tuple(place) for place in recorded.BETTER}
    assert {tap for *_, tap in places(NEW)} == {recorded.NEW}
    assert {tap for *_, tap in places(GONE)} == {recorded.GONE}
    assert ("equimo", "1.1.0", "1.1.1") in comparison.differences(before, after)
    assert [(old, new) for _, old, new in comparison.outcomes(before, after)] == [
        ("passed", "failed")
    ]
