"""What a reader would want to see changed only on purpose: the tap table, and what is exported."""

from dataclasses import replace

import pytest
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.stages.equimo import taps as equimo
from dinov3_parity.fixtures.stages.equimo.layout import FIRST
from dinov3_parity.fixtures.stages.onnx.vit import anatomy, export
from dinov3_parity.fixtures.stages.registry import called, stages
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT

#: From the oldest opset that has every operator to the newest that the oldest onnx here knows.
OPSETS = (18, 19, 20, 21, 22, 23, 24)


def test_the_tap_table(snapshot):
    names = called("vit")
    for tap, name in equimo.taps(FIRST).items():  # whichever Equimo is installed
        names[tap]["equimo"] = name
    lines = []
    for tap in VIT.taps.values():
        hidden = {info.name: info.hidden().get(tap.name) for info in stages().values()}
        absent = [f"not in {stage}: {why}" for stage, why in hidden.items() if why]
        words = [tap.name, f"{tap.part} after {', '.join(tap.after) or 'nothing'}"]
        words += [" ".join(tap.shape), tap.meaning, f"{tap.only} only" * bool(tap.only), *absent]
        words += [f"{stage}: {name}" for stage, name in names[tap.name].items()]
        lines.append("; ".join(filter(None, words)))
    assert "\n".join(lines) == snapshot


def test_every_tap_is_told_what_it_is_called():
    assert set(called("vit")) == set(VIT.taps)


@pytest.fixture(scope="module")
def one_block(store):
    """The mapped model with one block: its export differs from the whole one in length alone."""
    small = replace(VARIANTS["vits16"], depth=1, name="vits16-of-one-block")
    return Pipeline(small, Synthetic(small), store).stage("mapped")


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("form", ["size", "static"])
def test_operators_and_signature_at_every_opset(one_block, tmp_path, form, opset, snapshot):
    export(one_block.exportable(form), form, tmp_path / "model.onnx", opset)
    assert "\n".join(anatomy(tmp_path / "model.onnx")) == snapshot
