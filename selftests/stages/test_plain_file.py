"""The file that export writes by default: what other runtimes and tools need of it."""

import shutil
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.graphs import pytrees
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.stages.onnx.export import graph, save
from dinov3_parity.fixtures.stages.onnx.plain import plain
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.inputs.drawn import Input
from onnx.reference import ReferenceEvaluator

SMALL = replace(
    VARIANTS["vits16"], name="vits16 (2 blocks of 128)", dim=128, heads=2, hidden=512, depth=2
)
IMAGES = {
    "static": Input(1, (14, 14), seed=1),
    "batch": Input(2, (14, 14), seed=1),
    "size": Input(2, (2, 3), seed=1),
}
#: Besides, of what a form leaves open.
MORE = {"static": (), "batch": (Input(3, (14, 14), seed=1),), "size": (Input(1, (4, 1), seed=1),)}
SIDE = 224


@pytest.fixture(scope="module")
def mapped(store):
    return Pipeline(SMALL, Synthetic(SMALL), store).stage("mapped")


@pytest.fixture(scope="module")
def written(mapped, tmp_path_factory):
    """A file of a form, with registers or without, or as the form has it; each is made once."""
    known = {}

    def write(form, registers=None):
        if (form, registers) not in known:
            path = tmp_path_factory.mktemp("plain") / f"{form}.onnx"
            made = plain(
                graph(mapped.exportable(form), form, size=SIDE), SMALL,
                pytrees.parameters(mapped.model), path.name, registers,
            )  # fmt: skip
            save(made, path)
            known[form, registers] = path
        return known[form, registers]

    return write


def ran(path, images):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (shown,) = session.run(None, {"images": images})
    return shown


@pytest.mark.parametrize("form", IMAGES)
def test_a_file_has_no_functions_and_no_domain_but_onnxs_own(written, form):
    model = onnx.load(written(form))
    onnx.checker.check_model(model, full_check=True)
    assert not model.functions and [one.domain for one in model.opset_import] == [""]


@pytest.mark.parametrize("form", IMAGES)
def test_every_parameter_is_an_initializer_called_as_the_eqx_calls_it(mapped, written, form):
    stored = {one.name: one for one in onnx.load(written(form)).graph.initializer}
    paths = {
        path.strip(".").replace("[", ".").replace("]", "")
        for path in pytrees.parameters(mapped.model)
    }
    baked = {"dino_rope.periods"} if form != "size" else set()
    assert paths - baked <= stored.keys() and "blocks.1.mlp.fc1.weight" in stored
    tables = {"rope.sin", "rope.cos"} & stored.keys()
    assert len(tables) == (0 if form == "size" else 2)
    assert not [name for name in stored if "rotary" in name], "tables are there once for all blocks"


def test_values_that_are_taps_are_called_by_block_and_tap(written):
    graph = onnx.load(written("size")).graph
    values = {name for node in graph.node for name in node.output}
    taps = ("attn.q", "attn.logits", "attn.probs", "ls1", "residual1", "ffn.hidden", "output")
    assert {f"blocks.{i}.{tap}" for i in range(SMALL.depth) for tap in taps} <= values
    assert {"patch_embed", "rope.sin", "rope.cos"} <= values
    inside = [node.name.partition("/")[0] for node in graph.node if "/" in node.name]
    assert list(dict.fromkeys(inside)) == ["blocks.0", "blocks.1"]


@pytest.mark.parametrize("form", IMAGES)
def test_registers_are_returned_or_left_out_of_every_form(written, form):
    images = IMAGES[form].images()
    whole, without = ran(written(form, True), images), ran(written(form, False), images)
    as_it_is = ran(written(form), images)
    assert whole.shape[1] == without.shape[1] + SMALL.registers
    assert np.array_equal(np.delete(whole, np.s_[1 : SMALL.prefix], axis=1), without)
    assert np.array_equal(as_it_is, whole if form == "size" else without)


def by_reference(path, images):
    (shown,) = ReferenceEvaluator(str(path)).run(None, {"images": images})
    return shown


def by_openvino(path, images):
    """In float32: as it comes it computes in bfloat16 where the processor can."""
    import openvino

    how = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(str(path), "CPU", how)({"images": images})[0]


def by_tract(path, images):
    """Told the size of its images: of a size that is open it takes no slices."""
    import tract

    model = tract.onnx().load(str(path))
    model.set_input_fact(0, f"{','.join(map(str, images.shape))},f32")
    return model.into_model().into_runnable().run([images])[0].to_numpy()


def by_tinygrad(path, images):
    import tinygrad
    from tinygrad.nn.onnx import OnnxRunner

    (shown,) = OnnxRunner(path)({"images": tinygrad.Tensor(images, device="CPU")}).values()
    return shown.numpy()


#: The package that has a runtime, and how a file is run on it. tinygrad compiles for a minute.
RUNTIMES = [
    pytest.param("onnx", by_reference, id="reference"),
    pytest.param("openvino", by_openvino, id="openvino"),
    pytest.param("tract", by_tract, id="tract"),
    pytest.param("tinygrad", by_tinygrad, id="tinygrad", marks=pytest.mark.thorough),
]


@pytest.mark.parametrize("form", IMAGES)
@pytest.mark.parametrize(("package", "run"), RUNTIMES)
def test_other_runtimes_return_what_onnxruntime_does(written, form, package, run):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install {package}")
    if package == "tinygrad" and not shutil.which("clang"):
        pytest.skip("tinygrad compiles with clang, which is not installed")
    for one in (IMAGES[form], *MORE[form]):
        images = one.images()
        shown, expected = run(written(form), images), ran(written(form), images)
        assert shown.shape == expected.shape
        assert np.abs(shown - expected).max() < 1e-5 * np.abs(expected).max(), one


def test_onnxruntimes_tools_find_its_weights(written, tmp_path):
    """Of jax2onnx's own file the quantizer returns a copy, and the converter one that does not load."""
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.transformers.float16 import convert_float_to_float16

    path, images = written("static"), IMAGES["static"].images()
    quantize_dynamic(path, tmp_path / "int8.onnx")
    assert (tmp_path / "int8.onnx").stat().st_size < 0.75 * path.stat().st_size, (
        "of Gemm it takes none"
    )
    half = convert_float_to_float16(onnx.load(path), keep_io_types=True)
    onnx.save(half, tmp_path / "half.onnx")
    assert (tmp_path / "half.onnx").stat().st_size < 0.6 * path.stat().st_size
    expected = ran(path, images)
    for name in ("int8", "half"):
        shown = ran(tmp_path / f"{name}.onnx", images)
        off = np.sqrt(np.square(shown - expected).mean() / np.square(expected).mean())
        assert 1e-5 < off < 0.3, name
