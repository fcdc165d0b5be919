"""An edge holds, departs, or repeats its parent's fault; a run holds only when nothing is missing."""

import pytest
from dinov3_parity.parity.records.header import filled
from dinov3_parity.parity.records.measurement import CHAINED
from dinov3_parity.reports import terminal
from dinov3_parity.reports.verdicts import (
    DEPARTS,
    HOLDS,
    INCOMPLETE,
    KNOWN,
    NOTHING,
    OUTDATED,
    REPEATS,
    edges,
    verdict,
)
from msgspec.structs import replace

from selftests.support.records.measurements import PARENTS, clean, taken

WRONG = {"attn.k": 700.0, "attn.logits": 300.0, "output": 80.0}


def block(stage, number=0, **ratios):
    """A block of a stage; taps not named have a ratio of 0.9."""
    ratios = {
        name.replace("_", ".", 1) if name.startswith("attn") else name: r
        for name, r in ratios.items()
    }
    return [
        replace(
            m, stage=stage, parent=PARENTS.get(stage, "meta"), ratio=r, token_ratio=r, passed=r <= 4
        )
        for m in clean(number)
        for r in [ratios.get(m.tap, 0.9)]
    ]


def wrong(stage, times=1.0, **more):
    return [
        replace(m, ratio=r, token_ratio=r, passed=r <= 4)
        for m in block(stage)
        for r in [more.get(m.tap, times * WRONG.get(m.tap, m.ratio))]
    ]


def run(found, lost=(), **header):
    return verdict(filled(header)[0], found, lost)


def by_stage(found):
    return {edge.stage: edge for edge in edges(found)}


def test_a_stage_within_its_limits_holds():
    (edge,) = edges(block("equimo"))
    assert edge.verdict == HOLDS and edge.divergence is None
    assert edge.sentence.startswith(
        "equimo holds against meta: its strongest noise ratio is 0.90 of limit 4"
    )


def test_a_stage_that_errs_as_its_parent_does_repeats_it():
    found = by_stage([*wrong("equimo"), *wrong("mapped", 1.003)])
    assert (found["equimo"].verdict, found["mapped"].verdict) == (DEPARTS, REPEATS)
    assert "mapped repeats equimo's departure: at block 0, attn.k" in found["mapped"].sentence


def test_rounding_on_top_of_a_parents_small_fault_is_repeated_too():
    found = by_stage([*block("equimo", norm1=9.0), *block("mapped", norm1=11.5)])
    assert found["mapped"].verdict == REPEATS


def listed(found):
    return [m if m.passed else replace(m, known="why", ceiling=1e4) for m in found]


def test_a_stage_that_departs_as_is_known_alone_is_known_and_holds():
    told = run(listed(wrong("equimo")))
    (edge,) = told.edges
    assert (told.word, edge.verdict, edge.failed, edge.known) == (HOLDS, KNOWN, 0, 3)
    assert edge.divergence is None and edge.strongest.ratio == 0.9
    assert "holds against meta but for known departures, on 3 comparisons" in edge.sentence


def test_beside_what_is_known_the_first_divergence_is_of_what_is_not():
    found = [m if m.tap != "output" else replace(m, known="") for m in listed(wrong("equimo"))]
    (edge,) = edges(found)
    assert (edge.verdict, edge.divergence.worst.tap, edge.failed) == (DEPARTS, "output", 1)


def test_what_is_known_of_a_parent_is_to_be_listed_of_a_stage_that_passes_it_on():
    found = by_stage([*listed(wrong("equimo")), *wrong("mapped")])
    assert (found["equimo"].verdict, found["mapped"].verdict) == (KNOWN, DEPARTS)


def test_a_failed_test_of_something_else_is_not_hidden_by_what_is_known():
    about = {"variant": "vits16", "stage": "equimo", "ratio": 0.9, "limit": 4.0, "known": "why"}
    told = run(listed(wrong("equimo")), tests=[failed("E  the gate", **about)])
    assert told.word == DEPARTS and told.broken == ["test_conversion.py::bits[x]: the gate"]


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ({}, OUTDATED),
        ({"exit": "interrupted"}, INCOMPLETE),
        ({"inputs": {"profile": "reproduce"}}, HOLDS),
    ],
)
def test_an_entry_that_no_longer_happens_is_outdated_where_all_inputs_were_run(header, word):
    entry = {"label": "d.toml, entry 1", "stages": ["equimo"], "variants": ["*"], "taps": ["norm1"]}
    told = run(block("equimo"), deviations=[entry | {"ceiling": 9.0, "reason": "why"}], **header)
    assert told.word == word and bool(told.stale) == (word == OUTDATED)


def test_a_fault_behind_the_parents_is_a_stages_own():
    found = by_stage([*wrong("equimo"), *wrong("mapped", norm2=90.0)])
    assert found["mapped"].verdict == DEPARTS
    assert found["mapped"].divergence.worst.tap == "norm2"


@pytest.mark.parametrize(
    ("parents", "own", "expected"),
    [
        (9.0, 12.9, REPEATS), (9.0, 13.1, DEPARTS), (700.0, 706.9, REPEATS),
        (700.0, 707.1, DEPARTS), (3.9, 5.0, DEPARTS),
    ],
)  # fmt: skip
def test_a_repeated_ratio_may_differ_by_a_limit_or_by_a_hundredth(parents, own, expected):
    found = by_stage([*block("equimo", norm1=parents), *block("mapped", norm1=own)])
    assert found["mapped"].verdict == expected


def test_what_is_not_the_parents_at_one_token_is_a_stages_own():
    mapped = [replace(m, token_ratio=900.0) if m.tap == "attn.k" else m for m in wrong("mapped")]
    assert by_stage([*wrong("equimo"), *mapped])["mapped"].verdict == DEPARTS


def test_a_fault_far_larger_than_the_parents_at_its_place_is_a_stages_own():
    found = by_stage([*wrong("equimo"), *wrong("mapped", 3.0)])
    assert found["mapped"].verdict == DEPARTS


def test_a_fault_whose_parent_holds_or_was_not_run_is_a_stages_own():
    assert by_stage([*block("equimo"), *wrong("mapped")])["mapped"].verdict == DEPARTS
    assert by_stage(wrong("mapped"))["mapped"].verdict == DEPARTS


def test_the_same_place_on_another_input_is_not_the_same():
    other = [replace(m, seed=9) for m in wrong("mapped")]
    assert by_stage([*wrong("equimo"), *other])["mapped"].verdict == DEPARTS


def test_where_the_parent_was_never_measured_its_fault_explains_what_comes_of_it():
    chained = [replace(taken("cls", 50.0, None, "onnx", CHAINED), layer="runtime")]
    found = by_stage([*wrong("mapped"), *wrong("onnx"), *chained])
    assert found["onnx"].verdict == REPEATS


def test_a_fault_only_where_the_parent_was_never_measured_is_a_stages_own():
    chained = taken("cls", 50.0, None, "onnx", CHAINED)
    found = by_stage([*wrong("equimo"), *block("mapped"), *block("onnx"), chained])
    assert (found["mapped"].verdict, found["onnx"].verdict) == (HOLDS, DEPARTS)


@pytest.mark.parametrize(
    ("words", "expected"), [("absent: not shown", REPEATS), ("empty", DEPARTS)]
)
def test_a_problem_is_repeated_in_the_same_words(words, expected):
    nan = float("nan")
    pair = [
        taken("attn.q", nan, problem="absent: not shown"),
        taken("attn.q", nan, stage="mapped", problem=words),
    ]
    assert by_stage(pair)["mapped"].verdict == expected


def test_the_counts_of_a_departure_are_of_every_comparison_there():
    found = [*wrong("equimo"), *(replace(m, seed=9) for m in block("equimo"))]
    (edge,) = edges(found)
    assert (edge.divergence.failing, edge.divergence.inputs) == (1, 2)


def test_a_port_from_outside_is_held_against_meta():
    (edge,) = edges(wrong("mine"))
    assert (edge.parent, edge.verdict) == ("meta", DEPARTS)


def test_the_headline_names_the_first_departure_and_counts_the_others():
    told = run([*wrong("equimo"), *wrong("mapped", norm2=90.0)])
    assert told.word == DEPARTS
    assert told.headline == "vits16: equimo departs from meta at block 0, attn.k, and 1 more"
    told = run([*wrong("equimo"), *wrong("mapped")])
    assert told.headline == "vits16: equimo departs from meta at block 0, attn.k"


def test_what_repeats_an_own_options_are_repeated_with_it():
    told = run(wrong("equimo"), options=["--seed=3", "--stage=my port.py:Port"])
    command = told.first.divergence.command
    assert command.endswith("--reproduce 'B1 2x2 seed=0' --seed=3 '--stage=my port.py:Port'")


@pytest.mark.parametrize(
    ("program", "begins"),
    [
        (
            "pytest --pyargs dinov3_parity",
            'pytest --pyargs dinov3_parity -k "vits16 and equimo and ',
        ),
        ("dinov3-parity check my port.py:Port", "dinov3-parity check 'my port.py:Port' --variant "),
        ("rm -rf .; pytest", 'pytest -k "vits16 and equimo and '),
    ],
)
def test_a_run_is_repeated_as_it_was_begun_and_as_nothing_else(program, begins):
    assert run(wrong("equimo"), program=program).first.divergence.command.startswith(begins)


def test_what_the_command_does_not_know_itself_stands_after_two_dashes():
    told = run(wrong("equimo"), program="dinov3-parity check equimo", options=["--seed=3"])
    command = told.first.divergence.command
    assert command.endswith("-k blocks --reproduce 'B1 2x2 seed=0' -- --seed=3")


def failed(words, **properties):
    return {
        "test": "parity/test_conversion.py::bits[x]",
        "outcome": "failed",
        "words": words,
        "properties": properties,
    }


def test_a_failed_conversion_alone_departs_and_is_quoted():
    words = (
        "stage = <object>\n>    assert a == b\nE    AssertionError: norm.weight is not bit-equal\n"
    )
    told = run(block("equimo"), tests=[failed(words, variant="vits16", stage="equimo")])
    assert told.word == DEPARTS and "hold" not in told.headline
    assert told.broken == [
        "test_conversion.py::bits[x]: AssertionError: norm.weight is not bit-equal"
    ]


def test_a_failed_comparison_is_told_by_its_edge_and_not_again():
    told = run(
        wrong("equimo"), tests=[failed("E  departs", variant="vits16", stage="equimo", ratio=7.0)]
    )
    assert told.broken == []


def test_a_test_that_failed_on_something_else_is_told_beside_an_edge():
    about = {"variant": "vits16", "stage": "equimo", "ratio": 0.9, "limit": 4.0}
    told = run(wrong("equimo"), tests=[failed("E  RuntimeError: out of memory", **about)])
    assert told.broken == ["test_conversion.py::bits[x]: RuntimeError: out of memory"]


@pytest.mark.parametrize("exit", ["ok", "tests failed", ""])
def test_how_a_run_ends_when_all_of_it_ran_is_no_gap(exit):
    assert run(block("equimo"), exit=exit).word == HOLDS


@pytest.mark.parametrize(
    ("header", "lost"),
    [
        ({"exit": "interrupted"}, ()),
        ({}, ["The last line was cut off."]),
        (
            {
                "contract": {
                    "missing": [
                        {"test": "t", "input": "B1 1x1 seed=0", "declared": 3, "compared": 1}
                    ]
                }
            },
            (),
        ),
    ],
)
def test_a_run_of_which_something_is_missing_is_incomplete(header, lost):
    told = run(block("equimo"), lost, **header)
    assert told.word == INCOMPLETE and len(told.gaps) == 1
    assert told.headline.startswith("Incomplete")


GAP = {"test": "t", "input": "B1 1x1 seed=0", "declared": 3, "compared": 1}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"contract": {"missing": [GAP | {"variant": "vits16", "stage": "mapped"}]}},
         "in part: 2 taps were declared and not compared. What was is within its limits: its "),
        ({"tests": [failed("E  no", variant="vits16", stage="mapped", port="failed")]},
         "in part: the port itself failed. What was"),
    ],
    ids=["gap", "port"],
)  # fmt: skip
def test_a_stage_that_fell_short_does_not_hold_and_the_others_do(header, words):
    told = run([*block("equimo"), *block("mapped")], **header)
    first, second = told.edges
    assert (first.verdict, second.verdict) == (HOLDS, INCOMPLETE)
    assert words in second.sentence and "holds" not in f"{second.sentence} {told.headline}"
    lines = terminal.verdicts(told.edges)
    assert lines == [f"vits16: {second.sentence}"]


def test_a_stage_that_fell_short_and_departs_departs():
    gap = GAP | {"variant": "vits16", "stage": "equimo"}
    assert [e.verdict for e in run(wrong("equimo"), contract={"missing": [gap]}).edges] == [DEPARTS]


def test_nothing_is_not_something_that_holds():
    assert run([]).word == NOTHING
    assert run([], ["lost"]).headline == run([]).headline == "Nothing was compared"


@pytest.mark.parametrize("turned", [False, True])
def test_every_comparison_has_a_say_the_first_as_the_last(turned):
    order = lambda found: found[::-1] if turned else found
    rest = [m for m in block("equimo") if m.tap != "norm1"]
    departs = block("equimo", norm1=900.0)[1:2]
    assert departs[0].tap == "norm1"
    (edge,) = edges(order([*rest, *departs]))
    assert (edge.verdict, edge.failed, edge.strongest.tap) == (DEPARTS, 1, "norm1")
    assert (edge.divergence.inputs, edge.divergence.failing) == (1, 1)
    (edge,) = edges(order([*rest, *listed(departs)]))
    assert (edge.verdict, edge.known, edge.failed) == (KNOWN, 1, 0)
    (edge,) = edges(order([taken("attn.k", 70.0), taken("attn.k_proj", 0.9)]))
    assert [m.tap for m in edge.divergence.clean] == ["attn.k_proj"]
    found = by_stage(order([*wrong("equimo"), *wrong("mapped", norm1=900.0)]))
    assert found["mapped"].verdict == DEPARTS and found["mapped"].divergence.worst.tap == "norm1"
    some = [replace(m, stage="mapped", parent="equimo") for m in departs]
    found = by_stage([*order([*rest, *departs]), *order(some)])
    assert found["mapped"].verdict == REPEATS


def test_a_variant_has_edges_of_the_stages_that_it_was_run_on():
    other = [replace(m, variant="vitb16") for m in block("mapped")]
    told = run([*block("equimo"), *other])
    assert [(edge.variant, edge.stage) for edge in told.edges] == [
        ("vits16", "equimo"), ("vitb16", "mapped"),
    ]  # fmt: skip
    assert [edge.missing for edge in told.edges] == [0, 0]


@pytest.mark.parametrize("name", ["ratio", "token_ratio"])
def test_a_number_is_no_repetition_of_what_has_none(name):
    nothing = [replace(m, **{name: None}) if m.tap == "attn.k" else m for m in wrong("equimo")]
    found = by_stage([*nothing, *wrong("mapped")])
    assert found["mapped"].verdict == DEPARTS
    same = [replace(m, stage="mapped", parent="equimo") for m in nothing]
    assert by_stage([*nothing, *same])["mapped"].verdict == REPEATS


def test_a_ratio_that_is_off_by_just_what_it_may_be_is_repeated():
    found = by_stage([*block("equimo", norm1=9.0), *block("mapped", norm1=13.0)])
    assert found["mapped"].verdict == REPEATS


def test_a_test_that_says_it_departs_of_what_no_record_shows_is_told():
    about = {"variant": "vits16", "stage": "equimo", "ratio": 7.0, "limit": 4.0}
    told = run(block("equimo"), tests=[failed("E  departs", **about)])
    assert (told.word, told.broken) == (DEPARTS, ["test_conversion.py::bits[x]: departs"])


def test_a_test_that_broke_before_it_compared_is_told_beside_an_edge_that_departs():
    told = run(
        wrong("equimo"), tests=[failed("E  OSError: gone", variant="vits16", stage="equimo")]
    )
    assert told.broken == ["test_conversion.py::bits[x]: OSError: gone"]


def test_outputs_that_nothing_can_be_compared_with_are_told():
    stages = {"vits16 equimo": {"runtime": "x"}, "vits16 file": {"not_compared": "output y"}}
    told = run(block("equimo"), stages=stages)
    assert told.uncompared == ["output y"] and told.headline.endswith("; not compared: output y")
