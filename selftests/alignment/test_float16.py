"""A file in float16 is held by what Meta's own model does in float16, and a mistake in it still shows."""

import pytest
from dinov3_parity.fixtures.matrix import low_precision
from dinov3_parity.fixtures.ports.graphed import Graphed
from dinov3_parity.fixtures.ports.onnx_file import from_file
from dinov3_parity.fixtures.reference import local
from dinov3_parity.fixtures.reference.computed import Computed
from dinov3_parity.fixtures.reference.lower import Lower
from dinov3_parity.fixtures.stages.protocol import run
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.inputs.chosen import SMALL
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.yardstick import compare

from selftests.support.stages import foreign


def halved(path):
    low_precision.CONVERT["float16"](path, path)


@pytest.fixture
def measured(aligned, edited, two_blocks):
    """Every comparison of a file in float16, by mode, place and tap."""

    def of(drawn, edit=lambda model: None):
        graph, found = aligned(edited, edit, change=halved)
        stage = Graphed(two_blocks.variant, two_blocks, graph, found)
        reference = Lower(Computed(two_blocks.variant, two_blocks, drawn), two_blocks, "float16")
        seen = {}
        for place in reference.places:
            standards = reference.part(place)
            for tap, value in run(stage, place, reference.state(place)).items():
                seen["isolated", place, tap] = compare(standards[tap], value)
            metas = local.metas(reference, place)
            given = {tap: metas[tap] for tap in metas if stage.gives(place, tap)}
            shown = stage.local(place, reference.state(place), given)
            against = local.standards(two_blocks, reference, place, given, list(shown))
            for tap, known in reference.locally(place, given, against).items():
                seen["local", place, tap] = compare(known, shown[tap])
        graph.close()
        return seen

    return of


@pytest.mark.parametrize("drawn", [SMALL, Input(1, (5, 4), seed=3)], ids=str)
def test_it_holds_at_every_place_and_operation(measured, drawn):
    for at, seen in measured(drawn).items():
        assert seen.passed, f"{at}: {seen.ratio:.3g}, {seen.token_ratio:.3g}, {seen.floor_setter}"


def test_a_mistake_shows_where_it_is(measured):
    def no_layer_scale(model):
        scales = dict(model.named_modules())
        (scale,) = (one for name, one in scales.items() if name.endswith("layer.1.layer_scale1"))
        scale.lambda1.data[:] *= 1.05

    seen = measured(SMALL, no_layer_scale)
    over = [at for at, one in seen.items() if not one.passed and at[0] == "local"]
    assert [(str(place), tap) for _, place, tap in over] == [("block 1", "ls1")]


def test_a_quantized_file_is_told_to_be_one(two_blocks, tmp_path):
    file = foreign.exported(two_blocks, tmp_path / "right.onnx")
    low_precision.CONVERT["int8"](file, whole := tmp_path / "int8.onnx")
    with pytest.raises(ParityError, match=r"int8\.onnx is quantized: .* Nothing was compared\."):
        from_file(str(whole)).check_weights(two_blocks.variant, two_blocks)
