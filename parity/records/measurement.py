"""Measurements: one record a comparison."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Annotated, Any, Literal, TypedDict

from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.yardstick import Comparison
from msgspec import Meta, Struct

#: The version of what a run writes: of a record's line, and of run.json.
FORMAT = 2

#: What a tap was computed from: Meta's own values of the taps before it, Meta's own input of its place,
#: or what the stage itself handed on.
LOCAL, ISOLATED, CHAINED = "local", "isolated", "chained"

Count = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]
Indices = tuple[int, ...]


class Axis(TypedDict):
    """Ratios along one axis of a tap: see ``parity.breakdown``."""

    size: int
    ratio: list[float | None]
    worst: int
    share: float


class Breakdown(TypedDict):
    """Where inside a tap a comparison erred: see ``parity.breakdown``."""

    image: int | None
    tokens: list[float | None]
    along: dict[str, Axis]


class Measurement(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    """One comparison of one tap of a ``stage``, held against Meta and the truth; ``parent`` is the
    stage that its weights derive from, "" of the one that is the reference itself.

    ``place`` is "embed", "head" or "block 3", by the release's number; ``runtime`` names the program
    that computed it, ``layer`` the layer of the suite that asked, ``fault`` the mistake that was made.

    ``floor_setter`` is the run that set the floor, ``floor_alone`` what the floor would be by Meta's
    one run; ``token`` is the token of the largest ratio, by its index along the tap's token axes.
    A departure that ``--deviations`` lists has the ``ceiling`` of its entry, and in ``known`` the
    entry's reason, "" where it is beyond that ceiling or the entry has expired.
    ``node`` is the graph's own operator and name of what computed it, where it is a departing one of a
    graph; ``like`` the mistake of the fault catalogue that gives the same numbers, where one does.
    ``output``, of an ONNX file, says of which output it is and what that holds; ``relation`` names the
    one of ``parity.relations`` that a model's own values were held to, in the place of Meta's.
    ``breakdown``, where inside the tap it erred (see ``parity.breakdown``), is there when no earlier
    comparison of its test at this place was stronger: so the strongest of them all has it.
    """

    family: str
    variant: str
    stage: str
    parent: str
    mode: Literal["local", "isolated", "chained"]
    place: str
    tap: str
    batch: Count
    grid: tuple[Count, Count]
    seed: int
    ratio: float | None
    floor: float
    floor_setter: str
    floor_alone: Positive
    max_abs: float | None
    max_abs_index: Indices
    rel_max: float | None
    cosine: float | None
    limit: Positive
    token: Indices
    token_ratio: float | None
    token_limit: Positive
    passed: bool
    runtime: str
    fault: str | None
    layer: str
    content: str
    scale: float
    problem: str
    ceiling: Positive | None = None
    known: str = ""
    node: str = ""
    like: str = ""
    output: str = ""
    relation: str = ""
    breakdown: Breakdown | None = None

    @property
    def input(self) -> Input:
        return Input(self.batch, self.grid, self.seed, self.content, self.scale)

    @property
    def block(self) -> int | None:
        """The block's number in the release; None outside the blocks."""
        return block_of(self.place)

    @property
    def where(self) -> str:
        """Where it was taken: ``block 3, attn.k`` or ``cls``."""
        return self.tap if self.block is None else f"{self.place}, {self.tap}"

    @property
    def failed(self) -> bool:
        """Whether it is over its limit, or could not be compared, and is no known departure."""
        return not (self.passed or self.known)

    @property
    def word(self) -> str:
        """Its verdict: ``holds``, ``known`` or ``departs``."""
        return "holds" if self.passed else "known" if self.known else "departs"

    @property
    def largest(self) -> float:
        """The larger of its two ratios."""
        if self.problem or self.ratio is None or self.token_ratio is None:
            return math.inf
        return max(self.ratio, self.token_ratio)

    @property
    def strain(self) -> float:
        """How near it is to failing: over 1 it fails. Of what is listed in units of its ceiling."""
        return self.strength if self.ceiling is None else self.largest / self.ceiling

    @property
    def strength(self) -> float:
        """The larger of its two ratios in units of their limits; over 1 fails."""
        if self.problem or self.ratio is None or self.token_ratio is None:
            return math.inf
        return max(self.ratio / self.limit, self.token_ratio / self.token_limit)


_BLOCK = re.compile(r"block (0|[1-9]\d*)", re.ASCII)


@lru_cache(maxsize=1024)
def block_of(place: str) -> int | None:
    """The number in the text of a block's place; None of any other."""
    found = _BLOCK.fullmatch(place)
    return int(found[1]) if found else None


def measurement(comparison: Comparison, drawn: Input, **where: Any) -> Measurement:
    """A record of a comparison; ``where`` gives the fields that name stage and place."""
    figures = vars(comparison) | {"passed": comparison.passed}
    for name in ("ratio", "token_ratio", "max_abs", "rel_max", "cosine"):
        figures[name] = figures[name] if math.isfinite(figures[name]) else None
    return Measurement(
        **figures, **where, batch=drawn.batch, grid=drawn.grid, seed=drawn.seed,
        content=drawn.content, scale=drawn.scale,
    )  # fmt: skip
