"""What speaks for a divergence is read off the records, and only what can have happened is suspected."""

import subprocess

import pytest
from dinov3_parity.fixtures.stages.registry import called
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records import divergence
from dinov3_parity.parity.records.measurement import CHAINED
from dinov3_parity.reports.evidence import case, suspects
from msgspec.structs import replace

from selftests.support.records.measurements import clean, taken, with_faults


def on(m, drawn, ratio=None):
    moved = replace(m, batch=drawn.batch, grid=drawn.grid, seed=drawn.seed)
    return (
        moved
        if ratio is None
        else replace(moved, ratio=ratio, token_ratio=ratio, passed=ratio <= 4)
    )


def argued(found):
    return case(divergence.first(found), found, called("vit"))


def said(found):
    return " ".join(argued(found).why)


def test_the_size_is_told_beside_the_floor_and_who_set_it():
    told = said(with_faults(norm1=70.0))
    assert "error against the float64 truth is 7e-06; honest float32 does 1e-07 there" in told
    assert "set by Meta's own run" in told and "That is 70 floors, and the limit is 4." in told
    rounding = [replace(m, floor_setter="rounding") for m in with_faults(norm1=70.0)]
    assert "set by one rounding of the truth, 0.19 eps" in said(rounding)


def test_what_it_is_computed_from_is_named_with_its_ratio():
    assert "within the limit: attn.k_proj (0.9)" in said(with_faults(**{"attn.k": 70.0}))
    assert "was not compared" in said([taken("attn.k", 70.0)])
    assert "Nothing that is compared comes before it" in said([taken("rope.sin", 70.0, None)])


def test_a_tap_that_is_told_as_given_was_compared_and_is_within():
    some = [taken("attn.logits", 70.0), taken("attn.q", 0.9)]
    assert "computed from: attn.q (0.9) within the limit; attn.k not compared." in said(some)
    behind = [*some, replace(taken("attn.k", 30.0), passed=False)]
    behind = [replace(m, parent="equimo") for m in behind]
    found = divergence.first(behind[:2])
    told = " ".join(case(found, behind).why)
    assert "attn.q (0.9) within the limit; attn.k over the limit, as equimo's." in told
    assert "enters here" not in said(some) + told


def test_taps_of_another_kind_of_ffn_are_not_asked_for():
    found = [taken("ffn.hidden", 70.0), taken("ffn.up", 0.9)]
    assert "What it is computed from is within the limit: ffn.up (0.9). So" in said(found)


@pytest.mark.parametrize(
    ("tap", "block", "given"), [("input", 2, "block 1, which is within the limit (0.8)"),
                                ("norm", None, "block 2, which is within the limit (0.9)")]
)  # fmt: skip
def test_in_a_chain_a_part_is_given_what_the_block_before_it_put_out(tap, block, given):
    chain = [taken("output", 0.7 + i / 10, i, mode=CHAINED) for i in range(3)]
    found = [*chain, taken(tap, 70.0, block, mode=CHAINED)]
    assert f"It is given the output of {given}." in said(found)


def test_one_token_that_is_over_where_the_whole_is_not_is_told():
    found = [replace(taken("norm1", 2.0), token=(0, 3), token_ratio=50.0, passed=False)]
    told = said(found)
    assert "2 floors, and the limit is 4; but it is 50 times the rounding floor at token 3" in told


def test_inputs_on_which_it_holds_are_named():
    square, wide = Input(1, (2, 2)), Input(1, (1, 4), 3)
    found = [on(taken("rope.sin", 70.0, None), wide), on(taken("rope.sin", 0.9, None), square)]
    assert "on 1 of 2 comparisons, and not on B1 2x2 seed=0." in said(found)
    assert "on every input it was compared on (2)" in said([on(m, m.input, 70.0) for m in found])


@pytest.mark.parametrize(
    ("bad", "words"),
    [({0, 1, 2}, "in all 3 blocks"), ({1}, "Of 3 blocks it departs in block 1 alone")],
)
def test_blocks_share_a_mistake_or_one_has_it(bad, words):
    found = [taken("norm1", 70.0 if i in bad else 0.9, i) for i in range(3)]
    assert words in said(found)


def test_one_channel_that_holds_the_error_is_named():
    axis = {"size": 384, "ratio": [1.0], "worst": 5, "share": 0.93}
    worst = replace(
        taken("norm1", 70.0),
        breakdown={"image": 0, "tokens": [70.0] * 9, "along": {"channel": axis}},
    )
    assert "channel 5 of 384 holds 93 % of the error" in said([worst])
    spread = {"channel": axis | {"share": 0.3}}
    assert "holds" not in said([replace(worst, breakdown=worst.breakdown | {"along": spread})])


def test_registers_alone_are_named():
    tokens = [0.9, 70.0, 70.0, 70.0, 70.0, 1.0, 1.0, 1.0, 1.0]
    worst = replace(taken("norm1", 70.0), breakdown={"image": 0, "tokens": tokens, "along": {}})
    assert "0 of 1 cls, 4 of 4 registers, 0 of 4 patches" in said([worst])


def test_the_published_gate_is_quoted_when_it_passes_what_departs():
    ends = [taken("cls", 1.0, None, mode=CHAINED), taken("pooled", 1.0, None, mode=CHAINED)]
    found = [*with_faults(norm1=70.0), *ends]
    assert "passes it on all 2 of its comparisons: max |Δ| 1.00e-06" in argued(found).gate
    found[-1] = replace(ends[-1], max_abs=3e-5)
    assert (
        "fails it on 1 of 2 comparisons, and does not say where: max |Δ| 3.00e-05"
        in argued(found).gate
    )
    assert argued(with_faults(norm1=70.0)).gate == ""


def test_the_gate_does_not_pass_what_was_not_there_or_has_no_cosine():
    ends = [taken("pooled", 1.0, None, mode=CHAINED), taken("cls", 1.0, None, mode=CHAINED)]
    absent = taken("cls", float("nan"), None, mode=CHAINED, problem="absent: not shown")
    for cls in (absent, replace(ends[1], cosine=None)):
        assert "fails it on 1 of 2" in argued([*with_faults(norm1=70.0), ends[0], cls]).gate
    assert argued([*with_faults(norm1=70.0), absent]).gate == ""


def named(found):
    return {fault.name for fault in suspects(divergence.first(found), found)}


def test_suspects_first_show_at_the_tap_and_in_the_block_that_departs():
    assert named(with_faults(**{"attn.k_proj": 70.0})) == {"k bias not masked", "k and v exchanged"}
    last = [taken("norm1", 70.0 if i == 11 else 0.9, i) for i in range(12)]
    assert named(last) == {"last block duplicated"}
    plain = [taken("ffn.hidden", 70.0)]
    gated = [replace(m, variant="vits16plus") for m in plain]
    assert "quick GELU" in named(plain) - named(gated)
    assert "ReLU for SiLU" in named(gated) - named(plain)


def test_nobody_is_suspected_of_what_shows_at_the_end_alone():
    """A port that shows what the whole model returns: any mistake inside first shows there."""
    end = [taken(tap, 70.0, None, mode=CHAINED) for tap in ("norm", "cls", "patches", "pooled")]
    assert named(end) == set()
    assert "Nothing before it was compared: the mistake may be anywhere from the images on" in said(
        end
    )
    inside = [*end, taken("output", 0.9, 11, mode=CHAINED)]
    assert "final norm eps 1e-6" in named(inside) and "within the limit (0.9)" in said(inside)
    split = [
        replace(m, ratio=0.9, token_ratio=0.9, passed=True) if m.tap == "norm" else m for m in end
    ]
    assert named(split) and "So the fault enters here" in said(split)


def test_a_mistake_that_would_show_on_an_input_that_holds_is_no_suspect():
    square, wide, one = Input(1, (2, 2)), Input(1, (1, 4), 3), Input(1, (1, 1), 4)
    departs = on(taken("rope.sin", 70.0, None), wide)
    on_squares = named([departs, on(taken("rope.sin", 0.9, None), square)])
    assert on_squares == {"coords by the longer side", "coords by the shorter side"}
    on_one = named([departs, on(taken("rope.sin", 0.9, None), one)])
    assert "rope base 10000" in on_one and "coords without the half" not in on_one


def test_what_the_stage_calls_the_tap_and_how_to_make_the_first_suspect():
    told = argued(with_faults(**{"attn.k_proj": 70.0}))
    assert told.called == "attn.qkv > 2/3"
    assert (
        told.listing == 'dinov3-parity faults "k bias not masked" --variant vits16 --stage equimo'
    )


def in_a_shell(command):
    """The words of a command as a shell reads them."""
    script = f'set -- {command}\nprintf "%s\\0" "$@"'
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout.split("\0")[
        :-1
    ]


@pytest.mark.parametrize("stage", ['"; echo "', "$(echo ran)", "`echo ran`", "a\nb", "it's"])
def test_a_command_to_copy_is_one_command_whatever_a_stage_is_called(stage):
    told = argued([replace(m, stage=stage) for m in with_faults(**{"attn.k_proj": 70.0})])
    assert in_a_shell(told.divergence.command)[:3] == [
        "pytest", "-k", f"vits16 and {stage} and blocks",
    ]  # fmt: skip
    assert in_a_shell(told.listing)[-2:] == ["--stage", stage]


def test_a_problem_and_a_ratio_beyond_numbers_are_told_in_words():
    broken = [*clean()[:1], taken("attn.q", float("nan"), problem="absent: not shown")]
    assert "The tap is absent: not shown." in said(broken)
    beyond = replace(taken("attn.q", 9.0), ratio=None, token_ratio=None, passed=False)
    assert "no finite ratio" in said([beyond])


@pytest.mark.parametrize(
    "problem",
    ["of another dtype: float64, expected float32", "absent: declared for this stage, not shown",
     "not finite at 3 of 9 places, the first at (0, 0)", "empty: shape (0,)"],
)  # fmt: skip
def test_nobody_is_suspected_where_there_were_no_numbers(problem):
    assert named([taken("patch_embed", float("nan"), None, problem=problem)]) == set()


def test_a_tap_of_another_shape_may_lack_its_registers():
    shape = "of another shape: (1, 5, 384), expected (1, 9, 384)"
    assert "registers dropped" in named([taken("tokens", float("nan"), None, problem=shape)])
