"""What alignment found: for each tap the value that is it, how it is laid out, and by what evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dinov3_parity.parity.alignment.layouts import Layout
from dinov3_parity.parity.alignment.samples import Key

#: Evidence, strongest first.
PARAMETERS, VALUES, DATAFLOW = "parameters", "values", "dataflow"


@dataclass(frozen=True)
class Found:
    """A tap's value in a graph.

    ``names`` are the value, and those of the same numbers that are computed apart from it (tables that an
    exporter copied). ``by`` is the evidence: that the operator reads the tap's own tensors, that the
    numbers are Meta's, that what comes after is Meta's where Meta's is put in its place. ``error`` is the
    relative rms difference to Meta's where the taps before it were Meta's own, ``runner_up`` that of the
    next best value; infinite where there was none.
    """

    names: tuple[str, ...]
    layout: Layout
    by: tuple[str, ...]
    error: float
    runner_up: float = float("inf")

    @property
    def name(self) -> str:
        return self.names[0]


@dataclass(frozen=True)
class Alignment:
    """Which value is which tap; of those that are none, why."""

    found: Mapping[Key, Found]
    absent: Mapping[Key, str]
    sessions: int = field(default=0, compare=False)  # how often the graph was run

    @property
    def share(self) -> float:
        """The share of taps that were found."""
        return len(self.found) / max(1, len(self.found) + len(self.absent))
