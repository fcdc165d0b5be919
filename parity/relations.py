"""Metamorphic relations: what a model's own answers must be to one another, whatever its weights are.

No reference is asked, so a relation costs a few forward passes. What must be the same is held to the
rounding floor of the output: two honest runs may each be that far from the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from dinov3_parity.parity.faults import whole as faults
from dinov3_parity.parity.inputs.chosen import SAME_COUNT, SMALL, SQUARE
from dinov3_parity.parity.inputs.drawn import CELL, Input
from dinov3_parity.parity.yardstick import Floor, Standard

Taps = Mapping[str, np.ndarray]
Features = Callable[[np.ndarray], Taps]

#: Two honest runs of one value are each within the floor of the truth, and √2 floors from one another.
_BOTH = 2**0.5

#: The input that a model is asked on, and whose floors its answers are held to.
DRAWN = SMALL

#: Other images of the same shape, and one image of it.
_OTHER = replace(SMALL, seed=SMALL.seed + 100)
_ONE = replace(SMALL, batch=1)


#: One that a model takes where it takes every size.
_UNUSUAL = replace(SMALL, grid=(3, 7))


class Able(Protocol):
    """What can be asked of a model, as its record says before it is opened."""

    #: Whether it can be opened on other weights, whether its blocks can be run one by one, and whether
    #: any number can be in an image.
    reweighed: bool
    alone: bool
    exact: bool

    def fitted_whole(self, drawn: Input) -> Input:
        """An input as the whole model takes it."""
        ...


class Model(Protocol):
    """What a relation asks."""

    #: What the whole model returns of images (B, 3, H, W), by tap.
    features: Features

    #: That it wrote into images which it was given as copies, in words, or "".
    written: str

    def fitted(self, drawn: Input) -> Input:
        """An input as the model takes it."""
        ...

    def new(self) -> Features:
        """The same model, made anew."""
        ...

    def other(self) -> Features:
        """The model on other weights."""
        ...

    def chained(self, images: np.ndarray) -> Taps:
        """What its own blocks give, one after the other."""
        ...

    def tried(self, images: np.ndarray) -> Taps | str:
        """What the whole model returns of images that it may refuse; where it does, with which words."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What was shown, what it must be, or what is wrong, in words; ``refused`` says with which words the
    model does not take what it was asked on, and need not."""

    shown: Taps
    expected: Taps
    problem: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Relation:
    """``word`` stands in the names of tests; ``says`` what must be so; ``needs`` says of a model's
    record whether it can be asked."""

    word: str
    name: str
    says: str
    run: Callable[[Model, np.ndarray], Outcome]
    needs: Callable[[Able], bool] = lambda info: True


def images_of(model: Model, drawn: Input) -> np.ndarray:
    """An input's images, of a size and batch that the model takes."""
    return model.fitted(drawn).images()


def standards(expected: Taps, reference: Mapping[str, Standard]) -> dict[str, Standard]:
    """What a relation is held against: the model's own values, with the floors that the reference has at
    its input, for the difference of two runs."""
    held = {}
    for tap, value in expected.items():
        known = reference[tap]
        floor = known.floor
        both = Floor(
            _BOTH * floor.value, floor.setter, _BOTH * floor.alone,
            (_BOTH * floor.tokens).astype(np.float32),
        )  # fmt: skip
        held[tap] = Standard(known.tap, value, np.zeros_like(value), known.scale, both)
    return held


def _copied(taps: Taps) -> Taps:
    return {tap: np.array(value) for tap, value in taps.items()}


def _joined(parts: list[Taps]) -> Taps:
    return {tap: np.concatenate([one[tap] for one in parts]) for tap in parts[0]}


def _twice(model: Model, images: np.ndarray) -> Outcome:
    first = _copied(model.features(images))
    return Outcome(model.features(images), first)


def _after_others(model: Model, images: np.ndarray) -> Outcome:
    first = _copied(model.features(images))
    for drawn in (SAME_COUNT, _OTHER, SQUARE):
        model.features(images_of(model, drawn))
    return Outcome(model.features(images), first)


def _singly(model: Model, images: np.ndarray) -> Outcome:
    shown = _copied(model.features(images))
    singles = [_copied(model.features(images[k : k + 1])) for k in range(len(images))]
    return Outcome(shown, _joined(singles))


def _turned(model: Model, images: np.ndarray) -> Outcome:
    first = _copied(model.features(images))
    turned = model.features(np.ascontiguousarray(images[::-1]))
    return Outcome({tap: np.ascontiguousarray(value[::-1]) for tap, value in turned.items()}, first)


def _swapped_tail(model: Model, images: np.ndarray) -> Outcome:
    """The images but for the first are exchanged for others: what is known by its first image is not."""
    model.features(images)
    others = images.copy()
    others[1:] = images_of(model, _OTHER)[1:]
    return Outcome(_copied(model.features(others)), _copied(model.new()(others)))


def _other_image(model: Model, images: np.ndarray) -> Outcome:
    """Images that are nearly the first ones: of the same shape, mean and spread."""
    model.features(images)
    flipped = np.ascontiguousarray(images[..., ::-1])
    return Outcome(_copied(model.features(flipped)), _copied(model.new()(flipped)))


def _only_read(model: Model, images: np.ndarray) -> Outcome:
    given = images.copy()
    first = _copied(model.features(given))
    same = np.array_equal(given, images)
    return Outcome(first, first, model.written if same else "writes into the images it is given")


def _stays(model: Model, images: np.ndarray) -> Outcome:
    handed_out = model.features(images)
    first = _copied(handed_out)
    model.features(images_of(model, _OTHER))
    return Outcome(handed_out, first)


def _nan(model: Model, images: np.ndarray) -> Outcome:
    first = _copied(model.features(images))
    given = images.copy()
    given[0, 0, 1, 1] = np.nan
    shown = _copied(model.features(given))
    for tap, value in shown.items():
        if np.isnan(value[0]).all():  # as it must be: NaN in every value of its own image
            value[0] = first[tap][0]
        else:
            return Outcome(shown, first, f"a pixel that is NaN does not reach all of {tap}")
    return Outcome(shown, first)


def _by_blocks(model: Model, images: np.ndarray) -> Outcome:
    shown, chained = model.features(images), model.chained(images)
    return Outcome(shown, {tap: chained[tap] for tap in shown if tap in chained})


def _remainder(model: Model, images: np.ndarray) -> Outcome:
    """Meta's patch kernel has the stride of its size, so that what is left of a patch is not read. Where
    the answer is another, it is told whether it is that to an image filled up to whole patches."""
    first = _copied(model.features(images))
    wider = filled(images, _LEFT_OVER)
    shown = model.tried(wider)
    if isinstance(shown, str):
        return Outcome(first, first, refused=shown)
    problem = ""
    if any(shown[tap].shape != first[tap].shape for tap in first if tap in shown):
        problem = f"takes images of {wider.shape[2]}x{wider.shape[3]} for larger ones"
        for words, mode in _FILLED.items():
            whole = np.pad(
                wider, [(0, 0), (0, 0), *((0, -n % CELL) for n in wider.shape[2:])], mode
            )
            if _alike(shown, model.features(whole)):
                problem += f", filled up {words} on the right and below"
        problem += "; Meta takes the whole patches alone"
    return Outcome(shown, first, problem)


#: How many rows and columns of a patch more an image has, and what a port may fill patches up with.
_LEFT_OVER = (7, 9)
_FILLED = {"with zeros": "constant", "by repeating the edge": "edge", "by mirroring": "reflect"}


def filled(images: np.ndarray, more: tuple[int, int]) -> np.ndarray:
    """Images (B, 3, H, W) with so many more rows and columns, normal numbers, on the right and below."""
    batch, channels, high, wide = images.shape
    drawn = np.random.default_rng(0).standard_normal(
        (batch, channels, high + more[0], wide + more[1]), dtype=np.float32
    )
    drawn[:, :, :high, :wide] = images
    return drawn


def _alike(one: Taps, other: Taps) -> bool:
    """Whether two answers are the same but for rounding, by far."""
    return all(
        tap in other
        and one[tap].shape == other[tap].shape
        and np.allclose(one[tap], other[tap], rtol=1e-3, atol=1e-3)
        for tap in one
    )


def _other_weights(model: Model, images: np.ndarray) -> Outcome:
    first = _copied(model.features(images))
    other = model.other()(images)
    same = [tap for tap in first if np.array_equal(first[tap], other[tap])]
    problem = f"on other weights its {same[0]} is the same" if same else ""
    return Outcome(model.features(images), first, problem)


_ROWS = (
    Relation("twice", faults.AGAIN, "a second call returns what the first did", _twice),
    Relation(
        "later",
        faults.AFTER,
        "calls with other sizes and images between change nothing",
        _after_others,
    ),
    Relation(
        "singly",
        faults.SINGLY,
        "a batch is its images one by one",
        _singly,
        needs=lambda info: info.fitted_whole(_ONE).batch == 1 < info.fitted_whole(SMALL).batch,
    ),
    Relation(
        "turned",
        faults.TURNED,
        "images from the last to the first return the same, so turned",
        _turned,
    ),
    Relation(
        "followed",
        faults.FIRST,
        "what follows the first image counts",
        _swapped_tail,
        needs=lambda info: info.fitted_whole(SMALL).batch > 1,
    ),
    Relation(
        "mirrored",
        faults.OTHER,
        "mirrored images return what a new instance makes of them",
        _other_image,
    ),
    Relation("unwritten", faults.UNWRITTEN, "images are the same after a call", _only_read),
    Relation(
        "lasting", faults.STAYS, "what was handed out is not changed by the next call", _stays
    ),
    Relation(
        "nan",
        faults.NAN,
        "a NaN in a pixel shows in all of its image, and in no other",
        _nan,
        needs=lambda info: info.exact,
    ),
    Relation(
        "stepwise",
        faults.BLOCKS,
        "the whole model returns what its own blocks do, one after the other",
        _by_blocks,
        needs=lambda info: info.alone,
    ),
    Relation(
        "remainder",
        faults.REMAINDER,
        "rows and columns beyond the last whole patch count for nothing, where such images are taken",
        _remainder,
        needs=lambda info: info.exact and info.fitted_whole(_UNUSUAL) == _UNUSUAL,
    ),
    Relation(
        "reweighed",
        faults.WEIGHTS,
        "an instance on other weights does not meet the first",
        _other_weights,
        needs=lambda info: info.reweighed,
    ),
)

RELATIONS: Mapping[str, Relation] = MappingProxyType({one.name: one for one in _ROWS})


def table() -> str:
    """The relations as docs/whole.md has them, each with the mistakes that only it finds."""
    rows = []
    for one in RELATIONS.values():
        alone = [fault.name for fault in faults.FAULTS if fault.found_by == one.name]
        rows.append(f"| {one.name} | {one.says} | {', '.join(alone) or '–'} |\n")
    return (
        f"| relation | what must be so | found by it alone |\n| --- | --- | --- |\n{''.join(rows)}"
    )


def held(model: Any, relation: Relation) -> tuple[Input, Outcome]:
    """A relation asked of a model: on which input, and what came out."""
    drawn = model.fitted(DRAWN)
    return drawn, relation.run(model, drawn.images())
