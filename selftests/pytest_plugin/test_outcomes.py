"""What becomes of a test is told in one word, with its reason and what it is about."""

from types import SimpleNamespace

import pytest
from dinov3_parity.fixtures.pytest_plugin.outcomes import (
    Outcomes,
    Standing,
    exit_of,
    name_of,
    status,
    tell,
)
from dinov3_parity.parity.inputs.drawn import Input
from msgspec.structs import replace

from selftests.support.records.measurements import clean, taken, with_faults


def report(when, outcome, words=None, properties=(), name="t.py::test[a]"):
    return pytest.TestReport(
        name, ("t.py", 1, "test"), {}, outcome, words, when, duration=0.25, start=0, stop=0,
        user_properties=list(properties),
    )  # fmt: skip


def heard(*phases):
    outcomes = Outcomes()
    for phase in phases:
        outcomes.pytest_runtest_logreport(report(*phase))
    return outcomes.told()


SET_UP, CALLED, TORN_DOWN = (("setup", "passed"), ("call", "passed"), ("teardown", "passed"))


@pytest.mark.parametrize(
    ("phases", "outcome", "words"),
    [
        ([SET_UP, CALLED, TORN_DOWN], "passed", ""),
        ([SET_UP, ("call", "failed", "too far"), TORN_DOWN], "failed", "too far"),
        (
            [SET_UP, ("call", "failed", "too far"), ("teardown", "failed", "it")],
            "failed",
            "too far",
        ),
        ([("setup", "failed", "no store"), TORN_DOWN], "error", "no store"),
        ([SET_UP, CALLED, ("teardown", "failed", "left open")], "error", "left open"),
        ([("setup", "skipped", ("t.py", 3, "Skipped: why")), TORN_DOWN], "skipped", "Skipped: why"),
        ([SET_UP, ("???", "failed", "worker died")], "error", "worker died"),
        ([SET_UP, ("call", "failed", "x" * 9000), TORN_DOWN], "failed", "x" * 4000),
    ],
)
def test_the_phases_of_a_test_are_one_outcome(phases, outcome, words):
    (told,) = heard(*phases)
    assert (told["outcome"], told["words"]) == (outcome, words)
    assert told["seconds"] == 0.25 * len(phases)


def test_a_test_that_was_cut_short_is_not_told():
    assert heard(SET_UP) == []


def test_a_test_that_is_run_again_is_told_as_it_ended():
    (told,) = heard(SET_UP, ("call", "failed", "flaky"), TORN_DOWN, SET_UP, CALLED, TORN_DOWN)
    assert (told["outcome"], told["seconds"]) == ("passed", 0.75)


def test_properties_are_as_strict_json_holds_them():
    given = [
        ("layer", "blocks"),
        ("ratio", float("nan")),
        ("kind", int),
        ("block", 0),
        ("no", None),
    ]
    (told,) = heard(("call", "passed", None, given))
    assert told["properties"] == {
        "layer": "blocks", "ratio": "nan", "kind": "<class 'int'>", "block": 0, "no": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["t.py::test[a@b]", "t.py::test", "t@v2/t.py::test[a]"])
def test_a_name_is_the_same_in_a_group_of_workers(name):
    assert name_of(name) == name
    if name.endswith("]"):
        assert name_of(f"{name}@vits16-onnx") == name


def standing(*found):
    made = Standing(lambda records: None)
    for each in found:
        made.take(each)
    return made.properties()


def test_what_holds_tells_its_strongest_measurement():
    assert standing(clean(), [taken("norm2", 1.5, 3)], clean(), []) == {
        "block": 3, "tap": "norm2", "ratio": 1.5, "limit": 4.0, "input": str(Input(1, (2, 2))),
    }  # fmt: skip


def test_what_departs_tells_its_first_divergence_on_whichever_input():
    later = [replace(taken("ls2", 900.0, 3), seed=5)]
    told = standing(clean(), later, with_faults(**{"attn.k": 70.0}), clean())
    assert (told["block"], told["tap"], told["ratio"]) == (0, "attn.k", 70.0)


def test_where_a_token_is_nearer_to_its_limit_the_token_is_told():
    (one,) = (replace(m, token_ratio=5.9, token=(0, 3)) for m in [taken("cls", 0.5, None)])
    assert standing([one]) == {
        "tap": "cls", "ratio": 5.9, "limit": 6.0, "input": "B1 2x2 seed=0", "token": "3",
    }  # fmt: skip


def test_what_was_not_there_to_compare_tells_its_problem():
    told = standing(clean(), [taken("norm1", float("nan"), problem="absent: not shown")])
    assert (told["ratio"], told["problem"]) == (None, "absent: not shown")


def test_what_is_known_is_told_beside_what_is_not_and_a_test_that_met_it_is_shown_apart():
    listed = replace(taken("ffn.hidden", 630.0), known="by tanh", ceiling=700.0)
    told = standing([*clean(), listed])
    assert (told["ratio"], told["limit"]) == (0.9, 4.0)
    assert told["known"] == (
        "block 0, ffn.hidden (isolated): 630 times the rounding floor, limit 4, ceiling 700: by tanh"
    )
    given = [("known", told["known"])]
    assert status(report("call", "passed", properties=given)) == (
        "known", "k", ("KNOWN", {"yellow": True}),
    )  # fmt: skip
    assert status(report("call", "failed", properties=given)) is None
    assert status(report("call", "passed")) is None


def test_a_test_that_compared_nothing_tells_no_place():
    assert standing() == standing([]) == {}


def test_everything_that_is_taken_is_recorded():
    records = []
    Standing(records.extend).take(clean())
    assert records == clean()


def test_an_exit_status_is_told_in_words():
    assert list(map(exit_of, (0, 1, 2, 3, 5, 77))) == [
        "ok", "tests failed", "interrupted", "internal error", "no tests collected",
        "exit status 77",
    ]  # fmt: skip


def test_a_run_of_the_suites_own_tests_alone_is_none_of_its_layers():
    outcomes = Outcomes()
    outcomes.pytest_runtest_logreport(report("setup", "passed"))
    assert not outcomes.any_of_the_suite
    outcomes.pytest_runtest_logreport(report("setup", "passed", None, [("layer", "blocks")]))
    assert outcomes.any_of_the_suite


def test_an_item_tells_a_property_once():
    item = SimpleNamespace(user_properties=[("layer", "blocks"), ("ratio", 1.0)])
    tell(item, {"ratio": 2.0})
    assert item.user_properties == [("layer", "blocks"), ("ratio", 2.0)]
