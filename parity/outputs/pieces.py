"""Each output of a file as what is compared of it: taps, or forms of them with their own standard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from dinov3_parity.parity import yardstick
from dinov3_parity.parity.families import family_of
from dinov3_parity.parity.families.base import Place, Variant
from dinov3_parity.parity.outputs.forms import FORMS, TAPS, Form, Layout, final_norm, taps_of
from dinov3_parity.parity.yardstick import Floor, Standard

#: Weight and bias of the final norm, float32 (D,), and its eps.
Norm = tuple[np.ndarray, np.ndarray, float]


@dataclass(frozen=True)
class Source:
    """Tokens (B, N, D) somewhere in a model: the tap ``tap`` at ``place``, ``normed`` where the final
    norm is taken of it, which in the model it is not."""

    place: Place
    tap: str
    words: str
    normed: bool = False

    @property
    def last(self) -> bool:
        """Whether these are the model's own last tokens."""
        return self.tap == "norm"


@dataclass(frozen=True)
class Piece:
    """One comparison of a part of an output: as ``tap`` at ``place``.

    ``form`` is "" where it is the tap itself; else the standard is made of the tap ``source`` by it, and
    has the limit of the head's tap ``limit``. ``words`` say which output it is and what that holds;
    ``unknown`` why there is nothing to compare it with.
    """

    key: str
    words: str
    place: Place
    tap: str
    form: str = ""
    source: str = ""
    limit: str = ""
    normed: bool = False
    unknown: str = ""

    def standard(
        self,
        standards: Mapping[str, Standard],
        variant: Variant,
        grid: tuple[int, int],
        norm: Norm | None,
    ) -> Standard:
        """What it is measured against, from the standards of its place.

        Of a form that is no tap the recordings have Meta's own run, and not the twins': the floor is
        Meta's error in this form, times what the twins add to Meta's at the tap whose limit it has, or
        at the one that it is made of. Raises LookupError where the final norm is not at hand.
        """
        if not self.form:
            return standards[self.tap]
        known = standards[self.source]
        like = standards.get(self.limit, known)
        form, at = FORMS[self.form], Layout(variant.prefix, grid)
        taps = family_of(variant).taps
        limit = max(taps[self.tap].limit, taps[self.limit].limit, key=lambda one: one.whole)
        tap = replace(taps[self.tap], shape=tuple(form.axes.split()), limit=limit)
        truth, meta = known.truth, known.meta
        if self.normed:
            if norm is None:
                raise LookupError("the weights of the final norm are not at hand")
            truth, meta = final_norm(truth, *norm), final_norm(meta, *norm)
        meta = np.ascontiguousarray(form.make(meta, at))
        made = yardstick.standard(tap, form.make(truth, at), {"meta": meta})
        more = max(1.0, like.floor.value / like.floor.alone)
        floor = Floor(
            made.floor.value * more, like.floor.setter, made.floor.alone,
            made.floor.tokens * np.float32(more),
        )  # fmt: skip
        return replace(made, floor=floor)


@dataclass(frozen=True)
class Part:
    """What an output, or one of the equal parts of one, was found to hold: ``form`` of ``source``.

    ``name`` is the output's, with the part's number where there are several; ``doubt`` says in words
    why it is not certain.
    """

    name: str
    source: Source
    form: Form
    doubt: str = ""

    @property
    def words(self) -> str:
        of = "" if self.source.last else f" of {self.source.words}"
        return f"{self.form.words}{of}{f' ({self.doubt})' if self.doubt else ''}"

    def pieces(self) -> Iterator[Piece]:
        """What is compared of it."""
        words, judged, at = f"{self.name}: {self.words}", self.form.judged, self.source.place
        key = lambda tap: f"{tap} of {self.name}"
        if self.source.last and judged in TAPS:
            yield from (Piece(key(tap), words, at, tap) for tap in TAPS[judged])
        elif judged == "every token" and not self.source.normed:
            yield Piece(key(self.source.tap), words, at, self.source.tap)
        else:
            limit = FORMS[judged].limit
            tap = limit if self.source.last else self.source.tap
            yield Piece(
                key(tap), words, at, tap, judged, self.source.tap, limit, self.source.normed
            )

    def shown(self, value: np.ndarray, prefix: int) -> dict[str, np.ndarray]:
        """The arrays of its pieces, float32, by their keys, from what was returned."""
        value = value.astype(np.float32)
        value = np.ascontiguousarray(self.form.undo(value) if self.form.undo else value)
        judged = self.form.judged
        if self.source.last and judged in TAPS:
            whole = value.ndim == len(FORMS[judged].axes.split())
            found = taps_of(judged, value, prefix) if whole else dict.fromkeys(TAPS[judged], value)
            return {f"{tap} of {self.name}": one for tap, one in found.items()}
        (piece,) = self.pieces()
        return {piece.key: value}


def sources(variant: Variant) -> Iterator[Source]:
    """Where tokens are handed on in a model, and what users take: the last first."""
    family = family_of(variant)
    first, *blocks, last = family.places(variant)
    yield Source(last, "norm", "the last tokens")
    for place in reversed(blocks):
        before = " before the final norm" if place == blocks[-1] else ""
        yield Source(place, family.parts[place.part].handed_on, f"the output of {place}{before}")
    for place in reversed(blocks[:-1]):
        tap = family.parts[place.part].handed_on
        yield Source(place, tap, f"the output of {place} after the final norm", normed=True)
    yield Source(first, family.parts[first.part].handed_on, "the embedding")


def unknown(name: str, shape: tuple[int, ...], nearest: str, last: Source) -> Piece:
    """What is declared of an output that is none of the known forms: it cannot be compared, which is a
    failure."""
    why = f"output {name} of shape {shape} is none of the known forms; {nearest}"
    return Piece(f"norm of {name}", f"{name}: unknown", last.place, last.tap, unknown=why)
