"""What an output is, is found by its numbers, whatever its shape; of a wrong model by other outputs."""

import numpy as np
import pytest
from dinov3_parity.parity import yardstick
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.outputs.forms import FORMS, TAPS, Layout, taps_of
from dinov3_parity.parity.outputs.pieces import sources, unknown
from dinov3_parity.parity.outputs.recognition import Probe, assumed, recognised
from dinov3_parity.parity.yardstick import standard

VITS16 = VARIANTS["vits16"]
SOURCES = list(sources(VITS16))
LAST, BEFORE = SOURCES[:2]
SHAPES = ((2, (2, 8)), (1, (3, 5)))
DIM = 384


def _tokens(rng, batch, grid):
    return rng.standard_normal((batch, VITS16.tokens(grid), DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def probes():
    rng = np.random.default_rng(0)
    of = lambda batch, grid: {one: _tokens(rng, batch, grid) for one in SOURCES}
    return [Probe(of(*shape), Layout(VITS16.prefix, shape[1])) for shape in SHAPES]


def _read(probes, batched=True, **made):
    """Each output, a function of a probe, as it is recognised."""
    returned = [{name: make(probe) for name, make in made.items()} for probe in probes]
    return recognised(returned, probes, batched)


def _words(found):
    return [part.words for part, _ in found.parts]


def _near(value, by=1e-3):
    rng = np.random.default_rng(1)
    return value + np.float32(by) * rng.standard_normal(value.shape, dtype=np.float32)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_told_from_every_other(probes, name):
    form = FORMS[name]
    read = _read(probes, y=lambda p: _near(form.make(p.values[LAST], p.layout)))["y"]
    assert _words(read) == [form.words]


@pytest.mark.parametrize("name", ["patches as a map", "cls", "every token"])
def test_a_block_within_is_told_with_its_number(probes, name):
    for k in (1, 5, -1):
        source = SOURCES[k]
        read = _read(probes, y=lambda p, s=source: FORMS[name].make(p.values[s], p.layout))["y"]
        assert _words(read) == [f"{name} of {source.words}"]


def test_tokens_before_the_norm_are_no_wrong_ones(probes):
    (words,) = _words(_read(probes, y=lambda p: p.values[BEFORE])["y"])
    assert words == "every token of the output of block 11 before the final norm"


@pytest.mark.parametrize("axis", [0, 1])
def test_layers_are_taken_apart(probes, axis):
    four = [SOURCES[k] for k in (3, 5, 7, 1)]
    read = _read(probes, y=lambda p: np.stack([p.values[one] for one in four], axis))["y"]
    assert _words(read) == [f"every token of {one.words}" for one in four]


def test_what_is_joined_along_the_channels_is_taken_apart(probes):
    def joined(probe):
        tokens = probe.values[LAST]
        return np.concatenate([tokens[:, 0], tokens[:, 5:].mean(1)], 1)

    read = _read(probes, y=joined)["y"]
    assert _words(read) == ["cls", "pooled patches"]
    assert [piece.tap for part, _ in read.parts for piece in part.pieces()] == ["cls", "pooled"]


def test_images_one_by_one_have_no_axis_of_images(probes):
    one = [probe for probe in probes if len(probe.values[LAST]) == 1] * 2
    read = _read(one, False, y=lambda p: p.values[LAST][0], z=lambda p: p.values[LAST][0, 0])
    assert _words(read["y"]) == ["every token"] and _words(read["z"]) == ["cls"]
    ((_, get),) = read["y"].parts
    assert get(one[0].values[LAST][0]).shape == one[0].values[LAST].shape


def test_of_a_wrong_model_outputs_are_told_by_one_another(probes):
    """Its numbers are far from Meta's; a mean over registers is one all the same."""
    rng = np.random.default_rng(2)
    wrong = {id(p): _tokens(rng, *shape) for p, shape in zip(probes, SHAPES, strict=True)}
    read = _read(
        probes,
        tokens=lambda p: wrong[id(p)],
        cls=lambda p: wrong[id(p)][:, 0],
        pooled=lambda p: wrong[id(p)][:, 5:].mean(1),
        bad=lambda p: wrong[id(p)][:, 1:].mean(1),
    )
    assert _words(read["tokens"])[0].startswith("every token (surely none of the known forms")
    assert _words(read["cls"]) == ["cls (as it is made of tokens)"]
    assert _words(read["pooled"]) == ["pooled patches (as it is made of tokens)"]
    bad = "mean over registers and patches, in the place of pooled patches"
    assert _words(read["bad"]) == [f"{bad} (as it is made of tokens)"]


def test_what_has_no_known_shape_is_none_of_the_forms(probes):
    read = _read(probes, logits=lambda p: p.values[LAST][:, 0, :7])["logits"]
    assert not read.parts and read.nearest == "no known form has the shape (2, 7)"
    piece = unknown("logits", (2, 7), read.nearest, LAST)
    assert "output logits of shape (2, 7) is none of the known forms" in piece.unknown


def test_before_anybody_looked_shapes_say_what_an_output_would_be():
    at = Layout(VITS16.prefix, (2, 3))
    shapes = {(1, 11, 128): "every token", (1, 7, 128): "cls and patches", (1, 128): "cls",
              (1, 6, 128): "patches", (1, 128, 2, 3): "patches as a map"}  # fmt: skip
    for shape, words in shapes.items():
        assert _words(assumed("y", shape, at, LAST)) == [words]
    assert not assumed("y", (1, 50, 128), at, LAST).parts


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if not form.mistake])
def test_a_form_is_held_at_the_floor_of_that_form(name):
    """Meta's own float32 is within it, and one part in ten thousand beside it is not."""
    rng, at = np.random.default_rng(3), Layout(VITS16.prefix, (2, 8))
    truth = rng.standard_normal((2, VITS16.tokens((2, 8)), DIM))
    off = lambda scale: (truth + scale * rng.standard_normal(truth.shape)).astype(np.float32)
    runs = {"meta": off(1e-6), "twin": off(1e-6)}
    standards = {}
    for tap in TAPS["every token"]:
        taps = {run: taps_of("every token", x, 5)[tap] for run, x in runs.items()}
        standards[tap] = standard(VIT.taps[tap], taps_of("every token", truth, 5)[tap], taps)
    read = assumed("y", FORMS[name].make(truth, at).shape, at, LAST).parts[0][0]
    part = type(read)("y", LAST, FORMS[name])
    for scale, passes in ((1e-6, True), (1e-4, False)):
        shown = part.shown(FORMS[name].make(off(scale), at), 5)
        for piece in part.pieces():
            known = piece.standard(standards, VITS16, (2, 8), None)
            assert yardstick.compare(known, shown[piece.key]).passed == passes, (piece, scale)
