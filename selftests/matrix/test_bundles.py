"""A bundle that was changed, or a file that is no file for one, is refused."""

import json

import onnx
import pytest
from dinov3_parity.fixtures.checkpoints.block_subset import BlockSubset
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.matrix import bundle as making
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.ports import tapped_copy
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.matrix.bundle import MANIFEST, Bundle
from dinov3_parity.parity.matrix.cell import OK

from selftests.support.bundles import ran

OWN = {"told": {}, "seed": 0, "count": 1, "write": tapped_copy.write}


def test_a_bundle_that_was_changed_is_refused(copied):
    next((copied / "inputs").iterdir()).write_bytes(b"changed")
    with pytest.raises(ParityError, match="not what the bundle was made with"):
        Bundle(copied).verify()


def test_a_manifest_that_leads_out_of_its_folder_is_refused(copied):
    manifest = json.loads((copied / MANIFEST).read_text())
    manifest["files"]["../secret"] = ""
    (copied / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ParityError, match="is not a file of the bundle"):
        Bundle(copied).path("../secret")


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(ParityError, match="is no bundle"):
        Bundle(tmp_path).models  # noqa: B018


def test_a_folder_in_use_is_left_alone(pipe, copied):
    with pytest.raises(ParityError, match="is not empty"):
        making.Maker(pipe, copied)


def test_a_file_of_ones_own_is_looked_at_and_judged(pipe, folder, tmp_path, runner):
    maker = making.Maker(pipe, tmp_path / "own")
    maker.own(folder / "models" / "static-21.onnx", **OWN)
    own = maker.finish("own").parent
    (model,) = Bundle(own).models
    assert (model.tokens, model.opset, model.channels_last) == ("cls patches", 21, False)
    assert ran(own, model.name, runner).verdict == OK
    shown = [one.name for one in onnx.load(own / model.tapped).graph.output]
    assert {"0/residual1", "0/output", "result"} <= set(shown), "looked into by its found taps"


def test_a_file_of_other_weights_is_refused_as_such(pipe, store, tmp_path):
    from dinov3_parity.fixtures.stages.onnx.vit import export

    part = BlockSubset(Synthetic(VARIANTS["vits16"], seed=1), (0,))
    other = Pipeline(part.variant, part, store)
    export(other.stage("mapped").model, "static", tmp_path / "other.onnx")
    maker = making.Maker(pipe, tmp_path / "own")
    with pytest.raises(ParityError, match="something else than cls patches of this checkpoint"):
        maker.own(tmp_path / "other.onnx", **OWN)


def test_a_file_whose_data_lies_elsewhere_is_refused(pipe, folder, tmp_path):
    model = onnx.load(folder / "tapped" / "static-21.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../weights.bin"
    (tmp_path / "in").mkdir()
    onnx.save(model, tmp_path / "in" / "own.onnx")
    maker = making.Maker(pipe, tmp_path / "own")
    with pytest.raises(ParityError, match="outside the file's folder"):
        maker.own(tmp_path / "in" / "own.onnx", **OWN)


def test_a_file_that_is_no_onnx(pipe, tmp_path):
    (tmp_path / "page.onnx").write_text("<html>")
    with pytest.raises(ParityError, match="is not an ONNX file"):
        making.Maker(pipe, tmp_path / "own").own(tmp_path / "page.onnx", **OWN)
