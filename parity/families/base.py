"""What a model is, to all that does not care which: variants, places, taps, tensors with roles.

A family is one module beside this one that fills these records. Everything else (layout, synthetic
numbers, the contract, the reference, streaming, pages) asks them, and knows no name of a parameter, no
size of a patch and no kind of block by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

#: Image statistics (mean, std of the channels R, G, B in 0 to 1) of the evaluation transform, by dataset.
NORMALIZATION = MappingProxyType(
    {
        "lvd1689m": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        "sat493m": ((0.430, 0.411, 0.296), (0.213, 0.156, 0.143)),
    }
)

#: A limit over the strongest clean ratio that was measured, at least.
MARGIN = 1.5

Shape = tuple[int, ...]

#: Numbers of a release: up to so many its stages hold the whole model, of larger ones a block at a time;
#: up to so many the whole model is exported into one file.
HELD_WHOLE, IN_ONE_FILE = 100_000_000, 1_000_000_000


@dataclass(frozen=True, order=True)
class Place:
    """Where in a model: a part of it and, of a part that is repeated, which: ``block 3``, ``head``."""

    part: str
    index: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.part} {'.'.join(map(str, self.index))}" if self.index else self.part

    @classmethod
    def read(cls, words: str) -> Place:
        """The place that ``str`` wrote. Raises ValueError for other words."""
        part, _, numbers = words.partition(" ")
        found = cls(part, tuple(int(one) for one in numbers.split(".") if one.isdecimal()))
        if str(found) != words:
            raise ValueError(f"{words!r} is no place")
        return found


@dataclass(frozen=True)
class Limit:
    """The largest noise ratio over the ``whole`` of a tap of many tokens, and of one ``token``; and what
    honest arithmetic reached: ``strongest``, over a whole tap, as it would be of many tokens (its share
    of the limit there, times ``whole``), ``strongest_token``, and ``alone``, as the first, without twins.
    """

    whole: float
    token: float
    strongest: float
    strongest_token: float
    alone: float

    def of(self, tokens: float) -> float:
        """The limit of the whole of a tap that has so many tokens of like errors.

        What all numbers of a token have in common, like its deviation, is one draw; the rms of n draws
        spreads by 1 / sqrt(n) of what one does. So a single token has its own limit, and many have that
        of many.
        """
        return round(self.whole + (self.token - self.whole) / math.sqrt(max(tokens, 1)), 2)


@dataclass(frozen=True)
class Tap:
    """A named point of the computation. ``after`` lists the taps of its part that it is computed from,
    ``shape`` its axes in words (see ``Family.axes``), ``only`` what a variant must have to show it."""

    name: str
    part: str
    after: tuple[str, ...]
    shape: tuple[str, ...]
    meaning: str
    limit: Limit
    only: str = ""

    @property
    def token_axes(self) -> tuple[int, ...]:
        """The axes that count tokens, the batch among them: (0, 1) of B N D, (0, 2) of B h N N.

        Of two N the first is the query's; the figures of one token are all the other axes.
        """
        first = {word: axis for axis, word in reversed(list(enumerate(self.shape)))}
        return tuple(sorted(first[word] for word in TOKENS if word in first))


#: Axes that count tokens: batch, every token, patches, registers.
TOKENS = "BNPR"


@dataclass(frozen=True)
class Part:
    """A part of a model, with its taps in the order of the dataflow.

    ``given`` is the tap that shows what a place of it is given, ``handed_on`` the one that the next
    place is given, "" where there is none; ``chained`` are compared in a stage's own chain, where the
    others would only repeat them; ``halves`` is the tap at which a
    drawing of it is cut in two, whose titles stand in ``title``.
    """

    name: str
    title: str
    taps: tuple[Tap, ...]
    given: str = ""
    handed_on: str = ""
    chained: tuple[str, ...] = ()
    halves: str = ""


@dataclass(frozen=True)
class Tensor:
    """One entry of a state dict: Meta's ``name``, which at its ``place`` is ``leaf``; the ``role`` says
    what it is to the model, the same in every block: "norm.weight", "layer_scale"."""

    name: str
    shape: Shape
    place: Place | None  #: None: of the model as a whole
    leaf: str
    role: str

    @property
    def trained(self) -> bool:
        """Whether it is a parameter, and no buffer."""
        return self.role not in BUFFERS


#: Roles of what a checkpoint holds beside parameters.
BUFFERS = ("qkv.bias_mask", "rope.periods")


@dataclass(frozen=True)
class Variant:
    """One official backbone, as a release: its name, file and dataset. A family adds the geometry."""

    name: str
    architecture: str  #: Meta's name of the model, without the dataset
    dataset: str  #: ``lvd1689m`` or ``sat493m``
    hash_prefix: str  #: first 8 hex digits of the release file's sha256
    family = ""  # of a class, not of an instance

    #: Of a subset: which blocks of the release its blocks are.
    numbers: tuple[int, ...] = field(default=(), kw_only=True)

    @property
    def release(self) -> str:
        """Meta's name of the release, e.g. ``dinov3_vits16_pretrain_lvd1689m``."""
        return f"dinov3_{self.architecture}_pretrain_{self.dataset}"

    @property
    def file_name(self) -> str:
        """Meta's name of the release's file, its hash in it."""
        return f"{self.release}-{self.hash_prefix}.pth"

    @property
    def blocks_of_release(self) -> int:
        """The number of blocks of the release that this is, or is a subset of."""
        raise NotImplementedError


@dataclass(frozen=True)
class Family:
    """A family of variants, as functions of a variant.

    ``places`` are in the order of the computation, ``tensors`` in that of the file; ``axes`` gives the
    length of each word of a tap's shape for a batch and a grid; ``draw`` a tensor's synthetic numbers;
    ``subset`` a variant of some of its blocks alone; ``numbered`` a place with the release's number;
    ``split`` a tap's tokens by what they are; ``grid`` the token grid of images (B, 3, H, W).

    ``holds`` names, by tap, the tensors at its place that its operation reads, ``leaf[k/n]`` for the part
    number k of n; ``across`` the taps of other parts that it reads; ``folds`` pairs of taps of which the
    second scales what the first projects, and may be folded into it; ``derived`` what is taken out of
    another tap by indexing and means. ``atoms`` gives the length of each atom of an axis, ``finer`` the
    atoms of one axis of a tap.
    """

    name: str
    variants: Mapping[str, Variant]
    parts: Mapping[str, Part]
    returned: tuple[str, ...]  #: taps of the last part that a whole model returns
    published: tuple[str, ...]  #: of them the workflow's own two figures
    # The first of each is a variant, of the family's own class.
    places: Callable[[Any], tuple[Place, ...]]
    tensors: Callable[[Any], tuple[Tensor, ...]]
    axes: Callable[[Any, int, tuple[int, int]], Mapping[str, int]]
    draw: Callable[[Any, Tensor, str, np.random.Generator], np.ndarray]
    has: Callable[[Any, str], bool]
    subset: Callable[[Any, tuple[int, ...]], Variant]
    numbered: Callable[[Any, Place], Place]
    split: Callable[[Any, Tap, list], dict[str, list]]
    grid: Callable[[Any, Shape], tuple[int, int]]
    holds: Mapping[str, tuple[str, ...]]
    across: Mapping[str, tuple[str, ...]]
    folds: tuple[tuple[str, str], ...]
    derived: frozenset[str]
    atoms: Callable[[Any, int, tuple[int, int]], dict[str, int]]
    finer: Callable[[Tap, str], tuple[str, ...]]

    @cached_property
    def taps(self) -> dict[str, Tap]:
        """Every tap by its name, in the order of the dataflow."""
        return {tap.name: tap for part in self.parts.values() for tap in part.taps}

    def repeated(self, variant: Variant) -> tuple[Place, ...]:
        """The places of parts that are repeated: the blocks."""
        return tuple(place for place in self.places(variant) if place.index)

    def of_part(self, part: str, variant: Variant) -> tuple[Tap, ...]:
        """The taps of a part that a variant has. Raises KeyError for a part that the family lacks."""
        return tuple(tap for tap in self.parts[part].taps if self.has(variant, tap.only))

    def extent(self, tap: Tap, variant: Variant, batch: int, grid: tuple[int, int]) -> Shape:
        """The shape of a tap in numbers, for a batch and a token grid (rows, columns)."""
        sizes = self.axes(variant, batch, grid)
        return tuple(sizes[axis] for axis in tap.shape)

    def layout(self, variant: Variant) -> dict[str, Shape]:
        """Every name of the variant's state dict with its shape; all tensors are float32."""
        return {tensor.name: tensor.shape for tensor in self.tensors(variant)}

    def numbers(self, variant: Variant) -> int:
        """How many numbers a checkpoint of the variant holds."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors(variant))

    def held_whole(self, variant: Variant) -> bool:
        """Whether stages hold the whole model of a variant's release, and not a block at a time."""
        return self.numbers(self.variants.get(variant.name, variant)) <= HELD_WHOLE

    def in_one_file(self, variant: Variant) -> bool:
        """Whether the whole model of a variant's release is exported into one file."""
        return self.numbers(self.variants.get(variant.name, variant)) <= IN_ONE_FILE

    def having(self, variant: Variant, leaf: str) -> tuple[Tensor, ...]:
        """The tensors of a leaf, one in every place that has it; none of a variant without it."""
        return tuple(tensor for tensor in self.tensors(variant) if tensor.leaf == leaf)

    def at(self, variant: Variant, place: Place) -> tuple[Tensor, ...]:
        """The tensors of one place."""
        return tuple(tensor for tensor in self.tensors(variant) if tensor.place == place)

    def ancestors(self, tap: str) -> frozenset[str]:
        """Every tap that a tap is computed from, within its part of the model. Raises KeyError for a
        name that is no tap's."""
        near = frozenset(name for name in self.taps[tap].after if name in self.taps)
        return near.union(*map(self.ancestors, near))

    def order(self, place: Place) -> tuple:
        """What sorts places of any variant by the order of the computation."""
        return list(self.parts).index(place.part), place.index
