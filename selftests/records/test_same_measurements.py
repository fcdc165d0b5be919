"""The guard of a change that must not show tells every figure and every comparison that differs."""

import math

import pytest
from msgspec.structs import replace

from selftests import same_measurements
from selftests.same_measurements import differences, main
from selftests.support.records.left import left
from selftests.support.records.measurements import clean, taken


def folders(tmp_path, before, after):
    return [str(left(tmp_path / name, found=m)) for name, m in (("b", before), ("a", after))]


def test_two_runs_of_the_same_figures_are_the_same_in_any_order(tmp_path, capsys):
    absent = taken("cls", float("nan"), block=None, problem="absent: not shown")
    found = [*clean(), absent]
    assert differences(found, found[::-1]) == []
    assert main(folders(tmp_path, found, found[::-1])) == 0
    assert f"{len(found)} and {len(found)} comparisons, 0 differences" in capsys.readouterr().out


@pytest.mark.parametrize("figure", ["ratio", "floor", "max_abs", "rel_max", "cosine", "limit"])
def test_the_last_bit_of_a_figure_is_told(figure):
    before = clean()
    value = getattr(before[3], figure)
    after = [*before]
    after[3] = replace(before[3], **{figure: math.nextafter(value, math.inf)})
    (told,) = differences(before, after)
    assert f": {figure} {value!r} is " in told and before[3].tap in told


@pytest.mark.parametrize(
    ("field", "value"), [("passed", False), ("token", (0, 1)), ("problem", "odd"), ("parent", "x")]
)
def test_what_is_no_number_is_told_too(field, value):
    before = clean()
    (told,) = differences(before, [replace(before[0], **{field: value}), *before[1:]])
    assert f": {field} " in told


def test_a_comparison_that_one_of_them_lacks_is_told(tmp_path, capsys):
    found = clean()
    (lost,), (new,) = differences(found, found[1:]), differences(found[1:], found)
    assert lost.startswith("only before: ") and new.startswith("only after: ")
    assert found[0].tap in lost and found[0].tap in new
    assert main(folders(tmp_path, found, found[1:])) == 1
    assert "only before: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "field",
    [
        "variant", "stage", "layer", "mode", "place", "tap", "batch", "grid", "seed", "content",
        "scale", "runtime",
    ],
)  # fmt: skip
def test_comparisons_that_differ_in_one_word_of_their_key_are_two(field):
    one = taken("norm1", 0.9)
    value = getattr(one, field)
    other = {str: "another", int: 9, float: 9.0, tuple: (9, 9)}[type(value)]
    both = [one, replace(one, **{field: other}, cosine=0.5)]
    assert differences(both, both) == []
    assert [told.split(":")[0] for told in differences(both, [one])] == ["only before"]


def test_a_comparison_that_was_made_twice_is_two():
    one = taken("norm1", 0.9)
    other = replace(one, cosine=0.5)
    assert differences([one, other], [other, one]) == []
    assert [told.split(":")[0] for told in differences([one, other], [other])] != []
    (told,) = differences([one, one], [one])
    assert told.startswith("only before: ")


def test_two_runs_that_compared_nothing_are_no_proof(tmp_path):
    assert main(folders(tmp_path, [], [])) == 1


def test_a_checkout_is_run_and_a_report_is_only_read(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(same_measurements.subprocess, "run", lambda *a, **k: called.append((a, k)))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-x")
    (tmp_path / "report").mkdir()
    assert same_measurements.made(tmp_path / "report", tmp_path / "out") == tmp_path / "report"
    assert called == []
    (tmp_path / "conftest.py").write_text("")
    assert same_measurements.made(tmp_path, tmp_path / "out") == tmp_path / "out"
    (((words,), how),) = called
    assert f"--report-dir={tmp_path / 'out'}" in words and "vits16" in words
    assert f"--store={tmp_path / 'out'}-store" in words, "nothing that another checkout made"
    assert how["check"] and how["cwd"] == tmp_path and "PYTEST_ADDOPTS" not in how["env"]
