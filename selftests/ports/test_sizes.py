"""Ports on large variants, and the sizes and batches that a port takes."""

import re

import numpy as np
import pytest
from dinov3_parity.fixtures.ports.fitting import Takes, declared
from dinov3_parity.fixtures.reference.computed import Computed
from dinov3_parity.fixtures.sweep.resume_point import ResumePoint
from dinov3_parity.fixtures.sweep.sweep import Member, together
from dinov3_parity.parity.comparator import Comparator
from dinov3_parity.parity.inputs.chosen import SQUARE
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records import contract, reader

from selftests.support.stages.brought import NUMPY, ONE, PORT, given, opened, spoiled


def test_a_block_of_a_streamed_port_is_the_block_of_the_whole_model(tmp_path, store):
    (tmp_path / "a").mkdir()
    whole = opened(tmp_path, store, "word = 1")
    alone = opened(tmp_path, store, "word = 1", streamed=True)
    tokens = whole.embed(ONE.images())["tokens"]
    assert np.array_equal(alone.embed(ONE.images())["tokens"], tokens)
    for i in (0, 1):
        shown, expected = (one.block(i, tokens, (1, 1)) for one in (alone, whole))
        assert expected.keys() == shown.keys()
        assert all(np.array_equal(shown[tap], expected[tap]) for tap in expected)
    assert np.array_equal(alone.head(tokens)["cls"], whole.head(tokens)["cls"])


def test_a_streamed_port_holds_one_block_and_lets_it_go(tmp_path, store):
    lines = (
        "held, made = set(), []\n"
        "def __init__(self, variant, checkpoint):\n"
        "        super().__init__(variant, checkpoint)\n"
        "        assert variant.depth == 1 and 'blocks.1.ls1.gamma' not in checkpoint\n"
        "        self.made.append(variant.numbers)\n"
        "        self.held.add(self.made[-1])\n"
        "def __del__(self): self.held.discard(self.variant.numbers)"
    )
    stage = opened(tmp_path, store, lines, streamed=True)
    own, tokens = stage.port.stage(), np.zeros((1, 6, 384), np.float32)
    stage.rest()
    for i in (0, 1):
        stage.block(i, tokens, (1, 1))
        stage.block(i, tokens, (1, 1))
        assert len(own.held) == 1
        stage.rest()
        assert not own.held
    stage.head(tokens)
    assert own.made == [(0,), (0,), (6,), (6,)]


def test_an_interrupted_pass_of_a_streamed_port_is_taken_up_where_it_stood(tmp_path, store):
    def travelling(taken, lines):
        stage = opened(tmp_path / lines[:4], store, lines, streamed=True)
        declared = contract.declared("reference", stage.variant, stage.absent)
        comparator = Comparator(stage.variant, "mine", "streamed", "", declared, taken.extend)
        reference = Computed(stage.variant, stage.checkpoint, ONE, forgets=True)
        return Member(comparator, stage), reference

    stops = (
        "stop = 6\n"
        "def block(self, i, tokens, grid):\n"
        "        if self.variant.numbers == (self.stop,):\n"
        "            raise KeyboardInterrupt\n"
        "        return super().block(i, tokens, grid)"
    )
    resume_point, whole, after = ResumePoint(tmp_path / "mark.safetensors"), [], []
    member, reference = travelling(whole, "word = 1")
    together(member, (), reference)
    member, reference = travelling([], stops)
    with pytest.raises(KeyboardInterrupt):
        together(member, (), reference, resume_point=resume_point)
    assert resume_point.found().done == 2, "the embedding and a block"
    member, reference = travelling(after, "not_first = 1")
    asked = []
    block = member.stage.block
    member.stage.block = lambda i, *given: asked.append(i) or block(i, *given)
    together(member, (), reference, resume_point=resume_point)
    assert asked == [1, 1] and sorted(map(str, after)) == sorted(map(str, whole))
    member.comparator.hold()


def test_a_port_is_held_on_a_large_variant(run_pytest, tmp_path):
    shown = run_pytest("-k", "vitl16 and numpy", "--stage", NUMPY)
    assert shown.code == 0, shown.out
    assert "compared 80 of 80 declared taps" in shown.out and "vitl16: numpy holds" in shown.out
    found = reader.read(tmp_path / "report").found
    assert {m.block for m in found} == {None, 0, 12, 23}
    assert {(m.stage, m.mode) for m in found} == {("numpy", "isolated"), ("numpy", "chained")}


# What a port takes


def test_an_input_that_a_port_takes_stays_as_it_is():
    takes = Takes(((14, 14), (2, 3)), (1, 4))
    assert takes.fitted(SQUARE) == SQUARE
    for seed in range(4):  # by which another size and batch would be chosen
        for grid in takes.grids:
            for batch in takes.batches:
                assert takes.fitted(Input(batch, grid, seed)) == Input(batch, grid, seed)
    assert Takes().fitted(Input(3, (5, 7), 9)) == Input(3, (5, 7), 9)


def test_sizes_are_height_and_width_and_make_rows_and_columns():
    class Stage:
        sizes, batches = [(48, 32), [32, 48], (48, 32)], (4, 1, 4)

    takes = declared(Stage, "Stage")
    assert takes == Takes(((3, 2), (2, 3)), (4, 1))
    assert takes.told == "sizes 48x32, 32x48 and batches 4, 1"
    assert declared(object, "object") == Takes()


def test_other_inputs_are_made_one_of_what_it_takes_by_their_seed():
    takes = Takes(((14, 14), (2, 3)), (1, 4))
    drawn = [Input(2, (1, 7), seed, "hot", 10.0) for seed in range(8)]
    fitted = [takes.fitted(one) for one in drawn]
    assert fitted == [takes.fitted(one) for one in drawn]
    assert {(one.grid, one.batch) for one in fitted} == {
        (grid, batch) for grid in takes.grids for batch in takes.batches
    }
    assert [takes.fitted(one) for one in fitted] == fitted
    assert all((one.content, one.scale) == ("hot", 10.0) for one in fitted)


def test_stages_of_the_suite_take_every_input(vits16):
    drawn = Input(3, (5, 7), 9)
    assert all(info.fitted(drawn) == drawn for info in vits16.infos.values())


STATIC = """
sizes, batches = [(48, 32)], (2,)
def embed(self, images):
        assert images.shape == (2, 3, 48, 32), images.shape
        return super().embed(images)
""".strip()


def test_a_port_is_given_what_it_takes_and_nothing_else(run_pytest, tmp_path):
    stage = spoiled(tmp_path, STATIC)
    shown = run_pytest("--stage", stage, "-k", "vits16 and mine")
    assert shown.code == 0, shown.out
    found = reader.read(tmp_path / "report").found
    assert {(m.batch, m.grid) for m in found} == {(2, (3, 2))}
    assert {m.layer for m in found} == {
        "primitives", "blocks", "backbone", "whole", "metamorphic", "release",
    }  # fmt: skip
    per_input = 4 + 5 + 12 * 19 + 12 * 3 + 5
    inside = [m for m in found if m.layer not in ("whole", "metamorphic")]
    count = len({m.input for m in inside})
    assert count > 1 and len(inside) == count * per_input + 2
    assert f"compared {len(found):,} of {len(found):,} declared taps" in shown.out


def test_the_line_that_repeats_a_failure_names_what_the_port_was_given(run_pytest, tmp_path):
    wrong = (
        "def head(self, tokens):\n"
        "        shown = super().head(tokens)\n"
        "        shown['norm'][0, 0, 0] += 1\n"
        "        return shown"
    )
    stage = spoiled(tmp_path, f"{STATIC}\n{wrong}")
    shown = run_pytest("--stage", stage, "-k", "vits16 and mine and primitives")
    assert shown.code == pytest.ExitCode.TESTS_FAILED, shown.out
    assert re.search(r"Reproduce: pytest .* --reproduce 'B2 3x2 seed=\d+", shown.out), shown.out


def test_an_input_that_a_port_does_not_take_is_not_reproduced(run_pytest, tmp_path):
    stage = spoiled(tmp_path, STATIC)
    selected = ("--stage", stage, "-k", "vits16 and mine and primitives")
    shown = run_pytest(*selected, "--reproduce", "B1 1x1 seed=0")
    assert shown.code == pytest.ExitCode.USAGE_ERROR, shown.out
    assert "mine does not take it, its class declares sizes 48x32 and batches 2" in shown.out
    assert "'B2 3x2 seed=0'" in shown.out and "Traceback" not in shown.out
    shared = run_pytest(*selected, "--reproduce", "B1 1x1 seed=0", "-n", "1")
    assert shared.code == pytest.ExitCode.USAGE_ERROR, shared.out
    assert "mine does not take it" in shared.out and "Traceback" not in shared.out
    assert run_pytest(*selected, "--reproduce", "B2 3x2 seed=0").code == 0


def test_frameworks_are_told_what_they_need_before_a_port_imports_them(run_pytest, tmp_path):
    body = "import os\nassert os.environ['JAX_DEFAULT_MATMUL_PRECISION'] == 'highest'\n" + PORT
    shown = run_pytest("--stage", given(tmp_path, body), "--collect-only", "-q", "-k", "mine")
    assert shown.code == 0, shown.out
