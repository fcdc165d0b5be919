"""A cell of the matrix and its verdict: one file, on one onnxruntime, at one level, with some threads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from dinov3_parity.parity.families.vit import pooled
from dinov3_parity.parity.matrix.bundle import Bundle, Model
from dinov3_parity.parity.runtimes.isolated import LEVELS, ChildRunner, Outcome
from dinov3_parity.parity.yardstick import Comparison, Standard, compare, rms

OK, DRIFT, UNSUPPORTED, CRASH, ABSENT = "ok", "drift", "unsupported", "crash", "absent"
LOW = "low precision"
TAPPED_INPUT = "x"  # of a tapped copy
#: What is compared of a block that is run by itself: norms, attention, and what is handed on.
INSIDE = ("norm1", "attn.out", "norm2", "output")
THREADS = (1, 0)  # 0 is onnxruntime's own choice
FLOAT32 = "float32"

#: What onnxruntime calls its clean refusals; anything else that it raises is a crash in words.
_REFUSALS = (
    "Fail",
    "InvalidGraph",
    "NotImplemented",
    "InvalidArgument",
    "InvalidProtobuf",
    "NoSuchFile",
)


@dataclass(frozen=True)
class Cell:
    """One cell; ``version`` is onnxruntime's."""

    version: str
    model: str
    opset: int
    form: str
    precision: str
    level: str
    threads: int

    @property
    def id(self) -> str:
        precision = "" if self.precision == FLOAT32 else f"-{self.precision}"
        return f"opset{self.opset}-{self.form}{precision}-{self.level}-{self.threads or 'default'}"


@dataclass(frozen=True)
class Record:
    """A cell's result. ``ratio`` is the largest of its taps' noise ratios, in units of ``limit``s'
    tap ``tap`` on ``input``; ``words`` quote a refusal or say what is known of a drift; ``observer``
    is max |Δ| between the untouched file's result and its tapped copy's, ``growth`` the copy's noise
    ratio (of low precision: rms error over the truth's rms) by block. ``inside`` is how many taps of
    blocks that were run by themselves were compared as well, 0 where the ends alone were."""

    cell: Cell
    verdict: str
    ratio: float | None = None
    limit: float | None = None
    tap: str = ""
    input: str = ""
    max_abs: float | None = None
    cosine: float | None = None
    words: str = ""
    first: str = ""
    observer: float | None = None
    growth: dict[str, float] = field(default_factory=dict)
    inside: int = 0

    def line(self) -> dict[str, Any]:
        fields = asdict(self)
        return fields.pop("cell") | fields


def record(line: Mapping[str, Any]) -> Record:
    """A record from its line."""
    names = Cell.__dataclass_fields__
    cell = Cell(**{name: line[name] for name in names})
    return Record(cell, **{name: value for name, value in line.items() if name not in names})


def cells(bundle: Bundle, version: str) -> Iterator[tuple[Cell, Model]]:
    """Every cell of a bundle on a version, in the order of its grid."""
    for model in bundle.models:
        for level in LEVELS:
            for threads in THREADS if model.precision == FLOAT32 else THREADS[1:]:
                yield (
                    Cell(
                        version,
                        model.name,
                        model.opset,
                        model.form,
                        model.precision,
                        level,
                        threads,
                    ),
                    model,
                )


def measured(bundle: Bundle, cell: Cell, model: Model, runner: ChildRunner) -> Record:
    """Run a cell and judge it."""
    feeds = [given(bundle.images(name), model) for name in model.inputs]
    outcome = runner.run(bundle.path(model.file), feeds, cell.level, cell.threads, model.input_name)
    if outcome.end != "done":
        return Record(cell, **_refused(outcome, bundle.folder))
    shown = [named(_result(arrays, model), model, bundle.variant) for arrays in outcome.arrays]
    standards = [bundle.standards(name) for name in model.inputs]
    if cell.precision != FLOAT32:
        return _low(bundle, cell, model, shown, standards, outcome)
    found = _strongest(model, shown, standards)
    drifted = found["ratio"] is None or found["ratio"] > found["limit"]
    copy = None
    if model.tapped and (drifted or looked_at(bundle, cell, model)):
        path = bundle.path(model.tapped)
        copy = runner.run(path, feeds, cell.level, cell.threads, TAPPED_INPUT)
    observed = _observed(copy, outcome, model) if copy else {}
    if drifted:
        return Record(cell, DRIFT, **found, **_departed(copy, model, standards), **observed)
    if not (model.blocks and looked_at(bundle, cell, model)):
        return Record(cell, OK, **found, **observed)
    return _inside(bundle, cell, model, runner, Record(cell, OK, **found, **observed))


def _inside(bundle: Bundle, cell: Cell, model: Model, runner: ChildRunner, ends: Record) -> Record:
    """A cell whose ends hold, with its blocks run by themselves: what is within the limits of the chain's
    end, one norm's eps for instance, need not be within those of its own block."""
    drawn = model.inputs[0]
    given_blocks, standards = bundle.inside(drawn)
    feed = given_blocks | {TAPPED_INPUT: given(bundle.images(drawn), model)}
    copy = runner.run(bundle.path(model.blocks), [feed], cell.level, cell.threads)
    if copy.end != "done":
        return replace(
            ends, words=f"its blocks by themselves: {_refused(copy, bundle.folder)['words']}"
        )
    (shown,) = copy.arrays
    places = sorted((p for p in standards if p in shown), key=_within)
    seen = {place: compare(standards[place], shown[place]) for place in places}
    over = [place for place in places if not seen[place].passed]
    if not over:
        return replace(ends, inside=len(places))
    block, tap = over[0].split("/")
    one, words = seen[over[0]], f"block {block}, {tap}, by itself"
    ratio, limit = one.ratio, one.limit
    if not one.problem and ratio <= limit:
        ratio, limit, words = one.token_ratio, one.token_limit, f"{words}, one token"
    return replace(
        ends, verdict=DRIFT, ratio=ratio if math.isfinite(ratio) else None, limit=limit, tap=words,
        input=drawn, words=one.problem, first=f"{words} ({ratio:.3g}, {drawn})", inside=len(places),
    )  # fmt: skip


def _within(place: str) -> tuple[int, int]:
    block, tap = place.split("/")
    return int(block), INSIDE.index(tap)


def looked_at(bundle: Bundle, cell: Cell, model: Model) -> bool:
    """Whether a cell's copies are run though nothing is amiss, for the observer's effect and for what is
    inside: one form's, at onnxruntime's own threads."""
    return cell.threads == 0 and model.form == bundle.models[0].form


def given(images: np.ndarray, model: Model) -> np.ndarray:
    """Images (B, 3, H, W) as a file takes them."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if model.channels_last else images


def _result(arrays: Mapping[str, np.ndarray], model: Model) -> np.ndarray:
    return arrays[model.output_name] if model.output_name else next(iter(arrays.values()))


def named(result: np.ndarray, model: Model, variant: Any) -> dict[str, np.ndarray]:
    """The head's taps that a file's result holds, (B, D) or (B, P, D)."""
    result = result.astype(np.float32)
    if model.tokens in ("cls", "pooled"):
        return {model.tokens: np.ascontiguousarray(result)}
    prefix = variant.prefix if "registers" in model.tokens else 1
    patches = np.ascontiguousarray(result[:, prefix:])
    return {
        "cls": np.ascontiguousarray(result[:, 0]),
        "patches": patches,
        "pooled": pooled(patches),
    }


#: Where the reason begins in onnxruntime's longer refusals.
_REASONS = ("ONNX Runtime only", "Unsupported model IR version")


def _refused(outcome: Outcome, folder: Path) -> dict[str, Any]:
    """Verdict and words of a session that did not come to its end."""
    where = f"while {outcome.phase}"
    if outcome.end == "error" and outcome.kind == "MemoryError":
        return {"verdict": CRASH, "words": f"out of memory {where}"}
    if outcome.end == "error":
        words = " ".join(outcome.words.replace(f"{folder}/", "").split())
        begin = max((words.find(reason) for reason in _REASONS), default=0)
        words = words[max(begin, 0) :][:300]
        if outcome.phase == "loading" and outcome.kind in _REFUSALS:
            return {"verdict": UNSUPPORTED, "words": words}
        return {"verdict": CRASH, "words": f"{outcome.kind} {where}: {words}"}
    if outcome.end == "timeout":
        return {"verdict": CRASH, "words": f"no end after {outcome.words} s {where}"}
    how = outcome.words if outcome.end == "signal" else f"exit {outcome.words}"
    return {"verdict": CRASH, "words": f"{how} {where}"}


def _strongest(model: Model, shown, standards) -> dict[str, Any]:
    """The figures of the tap and input whose ratio is the largest share of its limit; those of its
    worst token where that alone is over."""
    found: list[tuple[float, str, str, Comparison]] = []
    for name, taps, known in zip(model.inputs, shown, standards, strict=True):
        for tap, value in taps.items():
            one = compare(known[tap], value)
            share = math.inf if one.problem else one.ratio / one.limit
            if not one.problem and one.token_ratio > one.token_limit and share <= 1:
                share, tap = one.token_ratio / one.token_limit, f"{tap}, one token"
                one = replace(one, ratio=one.token_ratio, limit=one.token_limit)
            found.append((share, tap, name, one))
    _, tap, name, one = max(found, key=lambda entry: entry[0])
    finite = lambda value: value if math.isfinite(value) else None
    return {
        "ratio": finite(one.ratio), "limit": one.limit, "tap": tap, "input": name,
        "max_abs": finite(max(entry[3].max_abs for entry in found)),
        "cosine": finite(min(entry[3].cosine for entry in found)), "words": one.problem,
    }  # fmt: skip


def _observed(copy: Outcome, outcome: Outcome, model: Model) -> dict[str, Any]:
    """What the look at the taps changes in the result."""
    if copy.end != "done":
        return {}
    pairs = zip(copy.arrays, outcome.arrays, strict=True)
    gaps = [np.abs(c[_returned(c)] - _result(o, model)).max() for c, o in pairs]
    return {"observer": float(max(gaps))}


def _returned(arrays: Mapping[str, np.ndarray]) -> str:
    return "result" if "result" in arrays else "norm"


def _by_block(
    copy: Outcome, model: Model, standards
) -> list[tuple[str, str, Standard, np.ndarray]]:
    """(input, place, standard, value) of every block's taps, in the order of the computation."""
    rows = []
    for name, arrays, known in zip(model.inputs, copy.arrays, standards, strict=True):
        places = sorted((p for p in known if "/" in p), key=_dataflow)
        rows += [(name, place, known[place], arrays[place]) for place in places if place in arrays]
    return rows


def _dataflow(place: str) -> tuple[int, int]:
    block, tap = place.split("/")
    return int(block), tap == "output"


def _departed(copy: Outcome | None, model: Model, standards) -> dict[str, Any]:
    """Where the tapped copy first departs on this version and level."""
    if copy is None or copy.end != "done":
        return {"first": ""}
    over = []
    for name, place, known, value in _by_block(copy, model, standards):
        one = compare(known, value)
        if not one.passed:
            block, tap = place.split("/")
            over.append((_dataflow(place), f"block {block}, {tap} ({one.ratio:.3g}, {name})"))
    if over:
        return {"first": min(over)[1]}
    return {"first": "in the untouched file alone: every block of its tapped copy holds"}


def _low(bundle, cell, model: Model, shown, standards, outcome: Outcome) -> Record:
    """A file of lower precision, against what its rounded weights alone do to the truth.

    It is converted from a tapped copy, and shows its blocks itself.
    """
    expected = bundle.manifest["expected"][cell.precision]
    found = _strongest(model, shown, standards)
    shares = []
    for name, taps, known in zip(model.inputs, shown, standards, strict=True):
        for tap, value in taps.items():
            error = rms(value.astype(np.float64) - known[tap].truth)
            shares.append((error / expected[name][tap], tap, name))
    share, tap, name = max(shares)
    growth: dict[str, float] = {}
    for _, place, known, value in _by_block(outcome, model, standards):
        if place.endswith("/output"):
            error = rms(value.astype(np.float64) - known.truth) / known.scale
            growth[place.split("/")[0]] = max(error, growth.get(place.split("/")[0], 0.0))
    words = "times the error of the truth with weights rounded to this type"
    own = {"ratio": share, "limit": None, "tap": tap, "input": name, "words": words}
    figures: dict[str, Any] = found | own
    return Record(cell, LOW, **figures, growth=growth)


def looked_into(found: Sequence[Record]) -> str:
    """Of how many cells what is inside was looked at, in a line."""
    inside = [one.inside for one in found if one.inside]
    others = f"the other {len(found) - len(inside):,} at their ends alone"
    if not inside:
        return "looked into none of them: their ends alone"
    return (
        f"looked into {len(inside):,} of them, {max(inside)} taps of blocks by themselves; {others}"
    )
