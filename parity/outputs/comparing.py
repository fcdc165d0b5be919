"""The comparator of a file's outputs: each is measured against Meta's values in the form that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from dinov3_parity.parity import yardstick
from dinov3_parity.parity.comparator import Comparator, Shown
from dinov3_parity.parity.families import family_of
from dinov3_parity.parity.families.base import Place, Variant
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.outputs.pieces import Norm, Piece
from dinov3_parity.parity.records.deviations import judged
from dinov3_parity.parity.records.measurement import CHAINED, Measurement, measurement


@dataclass
class OutputComparator(Comparator):
    """A comparator whose contract names ``pieces`` by their keys; ``norm`` is the checkpoint's final
    norm, for outputs that have it of a block's tokens."""

    pieces: Mapping[str, Piece] = field(default_factory=dict, repr=False)
    norm: Norm | None = field(default=None, repr=False)

    def compare(
        self, place: Place, shown: Shown, mode: str = CHAINED, against: Mapping | None = None
    ) -> None:
        """Measure the declared pieces of one place, float32 arrays by their keys; a declared one that is
        not shown is a failure."""
        names = self._open.pop((mode, place), None)
        if names is None:
            return
        standards = self._reference.part(place, mode)
        records = [self._measured(self.pieces[key], shown.get(key), standards) for key in names]
        self.taken += records
        self.accounts[-1].compared += sum(not m.problem for m in records)

    def _measured(self, piece: Piece, shown: np.ndarray | None, standards: Mapping) -> Measurement:
        known = piece.standard(standards, self.variant, self._reference.grid, self.norm)
        record = measured(
            piece, known, shown, self._reference.input, variant=self.variant, stage=self.stage,
            parent=self.parent, runtime=self.runtime, layer=self.layer,
        )  # fmt: skip
        return judged(record, self.deviations)


def measured(
    piece: Piece, known: Any, shown: np.ndarray | None, drawn: Input, variant: Variant, **told: str
) -> Measurement:
    """One piece of an output, float32, held against its standard ``known`` on an input; ``told`` are
    stage, parent, runtime and layer. Of a form that is not known its problem says so."""
    compared = yardstick.compare(known, shown)
    if piece.unknown:
        compared = replace(compared, problem=piece.unknown)
    family = family_of(variant)
    return measurement(
        compared, drawn, family=family.name, variant=variant.name, mode=CHAINED,
        place=str(family.numbered(variant, piece.place)), tap=piece.tap, fault=None,
        output=piece.words, **told,
    )  # fmt: skip
