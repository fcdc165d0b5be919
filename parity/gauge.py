"""The gauge: what a test holds a stage's taps against the standards with, and records as it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from parity import divergence, yardstick
from parity.inputs import Input
from parity.measurements import Measurement, measurement
from parity.variants import Variant

Shown = Mapping[str, np.ndarray]


@dataclass
class Gauge:
    """Comparisons of one test; every one is recorded, passed or failed, before any is judged."""

    variant: Variant
    stage: str
    layer: str
    runtime: str
    record: Callable[[list[Measurement]], None]
    taken: list[Measurement] = field(default_factory=list)

    def compare(
        self,
        shown: Shown,
        standards: Mapping[str, yardstick.Standard],
        taps: tuple[str, ...],
        drawn: Input,
        mode: str,
        block: int | None = None,
    ) -> None:
        """Measure the declared taps of one part; a declared tap that is not shown is a failure."""
        records = [
            measurement(
                yardstick.compare(tap, standards[tap], shown.get(tap)),
                drawn,
                variant=self.variant.name, stage=self.stage, mode=mode, block=block, tap=tap,
                runtime=self.runtime, fault=None, layer=self.layer,
            )
            for tap in taps
        ]  # fmt: skip
        self.taken += records
        self.record(records)

    def hold(self) -> None:
        """Fail, naming the first divergence, if any tap taken so far is over its limit."""
        __tracebackhide__ = True
        if not self.taken:
            raise AssertionError(f"{self.variant.name}: {self.stage}: nothing was compared")
        found = divergence.first(self.taken)
        if found:
            failed = sum(not m.passed for m in self.taken)
            raise AssertionError(
                f"{found}\n{failed} of {len(self.taken)} comparisons failed.\n"
                f"Reproduce: {found.command}"
            )


@dataclass(frozen=True)
class Gate:
    """The published workflow's two figures for one tap, over every image of the batch."""

    cosine: float  # the smallest
    max_abs: float

    @property
    def passed(self) -> bool:
        return self.cosine > 0.999999 and self.max_abs < 1e-5


def published_gate(shown: np.ndarray, meta: np.ndarray) -> Gate:
    """The workflow's acceptance of a tap (B, D) against Meta's float32 of the same shape."""
    ours, theirs = shown.astype(np.float64), meta.astype(np.float64)
    sizes = np.linalg.norm(ours, axis=-1) * np.linalg.norm(theirs, axis=-1)
    cosine = (ours * theirs).sum(-1) / sizes
    return Gate(float(cosine.min()), float(np.abs(ours - theirs).max()))
