"""Right foreign files hold, whatever they return; wrong ones depart at the output that is wrong."""

import pytest
from dinov3_parity.fixtures.ports import ends
from dinov3_parity.fixtures.ports.onnx_file import from_file
from dinov3_parity.fixtures.stages.protocol import State
from dinov3_parity.parity import yardstick
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.chosen import SMALL, SQUARE
from dinov3_parity.parity.records.measurement import CHAINED

from selftests.support.stages.foreign_files import KINDS, TOKENS, Surgery, exported

VITS16 = VARIANTS["vits16"]

#: Of the kinds those that a commit needs.
QUICK = ("bad_pool", "mean_patches", "prenorm", "leak")


@pytest.fixture(scope="module")
def foreign(vits16, tmp_path_factory):
    return exported(vits16.checkpoint, tmp_path_factory.mktemp("foreign") / "right.onnx")


def _found(pipe, path):
    """A file's ends, as ``look`` finds them before anything is compared."""
    port = from_file(str(path))
    port.check_weights(pipe.variant, pipe.checkpoint)
    port.__dict__["ends"] = ends.found(pipe, port.ends, port.fitted)
    return port


def _departing(pipe, port, drawn):
    """The words of the outputs that are over their limits on an input."""
    drawn = port.fitted(drawn)
    reference = pipe.recording(drawn) if drawn in (SMALL, SQUARE) else pipe.computed(drawn)
    whole, found = port.opened(pipe.variant, pipe.checkpoint).returned, set()
    pieces, images = port.ends.pieces, reference.images
    for place in VIT.places(pipe.variant):
        shown = whole.run(place, State(images, reference.grid))
        own = [key for key, piece in pieces.items() if piece.place == place]
        standards = reference.part(place, CHAINED) if own else {}
        for key in own:
            known = pieces[key].standard(standards, pipe.variant, reference.grid, port.ends.norm)
            if not yardstick.compare(known, shown.get(key)).passed:
                found.add(pieces[key].words)
    return found


def _kinds():
    for name in KINDS:
        yield pytest.param(name, marks=[] if name in QUICK else pytest.mark.thorough)


@pytest.mark.parametrize("name", list(_kinds()))
def test_what_a_file_returns_is_found_and_held(vits16, foreign, tmp_path, name):
    make, words, holds = KINDS[name]
    surgery = Surgery(foreign)
    port = _found(vits16, surgery.returning(tmp_path / f"{name}.onnx", **make(surgery)))
    read = [part.words for one in port.ends.found.values() for part, _ in one.parts]
    assert read == list(words), port.ends.words
    departing = _departing(vits16, port, SMALL)
    assert (not departing) == holds, departing
    if not holds:  # at that output alone
        assert departing == {f"{list(port.ends.found)[-1]}: {words[-1]}"}
    if name == "leak":
        assert not _departing(vits16, port, SQUARE), "one image has nobody to hear from"


@pytest.mark.thorough
def test_tables_of_one_size_hold_there_and_the_file_does_not_run_at_others(vits16, tmp_path):
    port = _found(vits16, exported(vits16.checkpoint, tmp_path / "baked.onnx", baked=True))
    assert not _departing(vits16, port, SQUARE)
    with pytest.raises(ParityError, match="It says that it takes images of any height and width"):
        _departing(vits16, port, SMALL)


@pytest.mark.thorough
def test_a_check_says_what_each_output_was_taken_for(run_pytest, vits16, foreign, tmp_path):
    surgery = Surgery(foreign)
    made = {"tokens_": TOKENS, "pooled": surgery.mean(surgery.cut(TOKENS, 1, 9999))}
    path = surgery.returning(tmp_path / "bad_pool.onnx", **made)
    shown = run_pytest("--stage", str(path), "-k", "vits16 and bad_pool and outputs")
    assert shown.code == pytest.ExitCode.TESTS_FAILED
    said = "Its output pooled: mean over registers and patches, in the place of pooled patches."
    assert "bad_pool departs from meta at pooled (chained)" in shown.out and said in shown.out
