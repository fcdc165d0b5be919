"""How many taps are found in files of each exporter, as they are and after each optimizer, as a table.

``python -m selftests.alignment.coverage [WORD ...]``, of the rows that have all words, takes minutes,
and what the exporters and optimizers need: transformers, timm, jax2onnx, onnxsim, onnxslim, onnxscript.
Every found tap is held against Meta's values on an input that the search has not seen: one that is
farther off than its file's numbers explain is counted as wrong.
"""

from __future__ import annotations

import importlib.metadata
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import onnx
import torch
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.ports.factories import libraries
from dinov3_parity.fixtures.ports.graphed import Graphed
from dinov3_parity.fixtures.ports.looking import aligned
from dinov3_parity.fixtures.ports.onnx_file import FilePort, from_file
from dinov3_parity.fixtures.reference import local
from dinov3_parity.fixtures.stages.onnx import export
from dinov3_parity.fixtures.store.store import Store
from dinov3_parity.parity.alignment.alignment import Alignment
from dinov3_parity.parity.alignment.match import difference
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.inputs.drawn import Input

from selftests.support.stages import foreign

VITS16 = VARIANTS["vits16"]

#: An input that no search looks at.
UNSEEN = Input(2, (4, 3), seed=11)

#: The relative rms difference from Meta's own value that a file's numbers explain.
EXPLAINED = {"float16": 0.05, "dynamic int8": 0.1}


class Both(torch.nn.Module):
    """Every token and the pooled one, as optimum's files return them."""

    def __init__(self, model):
        super().__init__()
        self.m = model

    def forward(self, pixel_values):
        shown = self.m(pixel_values)
        return shown.last_hidden_state, shown.pooler_output


def _torch(module: torch.nn.Module, to: Path, names: list[str], dynamo: bool, opset: int) -> None:
    example = torch.randn(2, 3, 64, 96)
    axes = {"pixel_values": {0: "batch", 2: "height", 3: "width"}}
    shapes = (dict.fromkeys(axes["pixel_values"], torch.export.Dim.DYNAMIC),)
    how = {"dynamic_shapes": shapes} if dynamo else {"dynamic_axes": axes}
    torch.onnx.export(
        module, (example,), str(to), input_names=["pixel_values"], output_names=names, dynamo=dynamo,
        opset_version=opset, **how,
    )  # fmt: skip


def _script(pipe: Pipeline, to: Path) -> None:
    _torch(foreign.Tokens(foreign.model(pipe.checkpoint)), to, ["tokens"], False, 17)


def _dynamo(pipe: Pipeline, to: Path) -> None:
    _torch(foreign.Tokens(foreign.model(pipe.checkpoint)), to, ["tokens"], True, 18)


def _optimum(pipe: Pipeline, to: Path) -> None:
    names = ["last_hidden_state", "pooler_output"]
    _torch(Both(foreign.model(pipe.checkpoint)), to, names, False, 14)


def _timm(pipe: Pipeline, to: Path) -> None:
    """With Meta's own periods in the place of its unrounded, as ``foreign`` gives transformers'."""
    _, model = libraries.timm("vit_small_patch16_dinov3_qkvb", VITS16, pipe.checkpoint)
    model.rope.periods.copy_(torch.from_numpy(np.array(pipe.checkpoint["rope_embed.periods"])))

    class Features(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.m = model

        def forward(self, pixel_values):
            return self.m.forward_features(pixel_values)

    example = torch.randn(1, 3, 224, 224)
    torch.onnx.export(
        Features(), (example,), str(to), input_names=["pixel_values"], output_names=["tokens"],
        dynamo=False, opset_version=17, dynamic_axes={"pixel_values": {0: "batch"}},
    )  # fmt: skip


def _jax2onnx(pipe: Pipeline, to: Path, functions: bool) -> None:
    from dinov3_parity.fixtures.graphs import pytrees
    from dinov3_parity.fixtures.stages.onnx.plain import plain

    mapped = pipe.stage("mapped")
    if functions:
        return export.export(mapped.exportable("size"), "size", to)
    graph = export.graph(mapped.exportable("size"), "size")
    export.save(plain(graph, VITS16, pytrees.parameters(mapped.model), to.name), to)


EXPORTERS: Mapping[str, Callable[[Pipeline, Path], None]] = {
    "transformers, torch.onnx by script": _script,
    "transformers, torch.onnx by dynamo": _dynamo,
    "transformers, as optimum exports": _optimum,
    "timm, torch.onnx by script": _timm,
    "jax2onnx, with functions": lambda pipe, to: _jax2onnx(pipe, to, True),
    "jax2onnx, without": lambda pipe, to: _jax2onnx(pipe, to, False),
}


def _onnxruntime(level: str) -> Callable[[Path, Path], None]:
    def optimize(file: Path, to: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = str(to)
        options.log_severity_level = 4
        onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    return optimize


def _onnxsim(file: Path, to: Path) -> None:
    """Without folding constants where that fails: 0.8.1 puts torch's script files out of order."""
    import onnxsim

    try:
        simplified, _ = onnxsim.simplify(str(file))
    except RuntimeError:
        simplified, _ = onnxsim.simplify(str(file), skip_constant_folding=True)
    onnx.save(simplified, to)


def _onnxslim(file: Path, to: Path) -> None:
    import onnxslim

    onnxslim.slim(str(file), str(to))


def _float16(file: Path, to: Path) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(file), keep_io_types=True), to)


def _int8(file: Path, to: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(file, to)


OPTIMIZERS: Mapping[str, Callable[[Path, Path], object]] = {
    "as exported": lambda file, to: to.symlink_to(file),
    "onnxsim": _onnxsim,
    "onnxslim": _onnxslim,
    "onnxruntime, basic": _onnxruntime("ORT_ENABLE_BASIC"),
    "onnxruntime, extended": _onnxruntime("ORT_ENABLE_EXTENDED"),
    "onnxruntime, all": _onnxruntime("ORT_ENABLE_ALL"),
    "float16": _float16,
    "dynamic int8": _int8,
}


def told(pipe: Pipeline, file: Path, row: str) -> tuple[str, str]:
    """A cell of the table, and what is to be said of the taps that were not found or are wrong."""
    port = from_file(str(file), "file")
    started = time.perf_counter()
    refused = "check refuses it" if port.numbers == "quantized" else ""
    found = aligned(pipe, port.graph, port.fitted)
    seconds = time.perf_counter() - started
    count = len(found.found) + len(found.absent)
    wrong = sorted(_wrong(pipe, port, found, EXPLAINED.get(row.partition(" | ")[2], 1e-3)))
    port.__dict__["alignment"] = found
    alone = f"the end alone: {port.features_only}" if port.features_only else ""
    port.close()
    cell = [f"{len(found.found)} of {count}", *filter(None, [alone, refused])]
    cell += [f"{len(wrong)} WRONG"] if wrong else []
    print(f"{row}: {found.sessions} sessions, {seconds:.1f} s", file=sys.stderr)
    return "; ".join(cell), "; ".join([*_why(found), *wrong[:4]])


def _why(found: Alignment) -> list[str]:
    """Why taps are absent, in words: which tap, in how many places, in what operator."""
    reasons: dict[tuple[str, str], int] = {}
    for (_, tap), words in found.absent.items():
        of = tap, words.partition(" (")[0]
        reasons[of] = reasons.get(of, 0) + 1
    return [f"{number} × {tap}: {words}" for (tap, words), number in reasons.items()]


def _wrong(pipe: Pipeline, port: FilePort, found: Alignment, explained: float) -> Iterator[str]:
    """The found taps that are not Meta's on an input that was not seen, each computed from Meta's own
    values before it: what is wrong before it does not count."""
    reference = pipe.computed(port.fitted(UNSEEN))
    stage = Graphed(VITS16, pipe.checkpoint, port.graph, found)
    for k, place in enumerate(reference.places):
        before = reference.places[k - 1]
        if k and (before, reference.family.parts[before.part].handed_on) not in found.found:
            continue  # it cannot be given what the place before hands on
        metas = local.metas(reference, place)
        given = {tap: metas[tap] for tap in metas if stage.gives(place, tap)}
        for tap, shown in stage.local(place, reference.state(place), given).items():
            off = difference(shown, metas[tap])
            if not off <= explained:
                yield f"{place}, {tap} is off by {off:.2g}"


def main(asked: list[str]) -> None:
    checkpoint = Synthetic(VITS16)
    packages = ("torch", "transformers", "timm", "jax2onnx", "onnxruntime", "onnxsim", "onnxslim")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages))
    with tempfile.TemporaryDirectory() as folder:
        pipe = Pipeline(VITS16, checkpoint, Store(Path(folder) / "store"))
        for exporter, make in EXPORTERS.items():
            rows = {f"{exporter} | {optimizer}": change for optimizer, change in OPTIMIZERS.items()}
            rows = {row: rows[row] for row in rows if all(word in row for word in asked)}
            if not rows:
                continue
            exported = Path(folder) / "exported.onnx"
            exported.unlink(missing_ok=True)
            with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()):
                make(pipe, exported)
            for row, change in rows.items():
                file = Path(folder) / "changed.onnx"
                file.unlink(missing_ok=True)
                try:
                    with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()):
                        change(exported, file)
                    cell, more = told(pipe, file, row)
                except ParityError as error:
                    cell, more = "not compared", str(error)[:200]
                except Exception as error:
                    cell, more = "not made", f"{type(error).__name__}: {error}"[:200]
                print(f"| {row} | {cell} | {more} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
