"""A stage of which the suite knows its record alone: the guard of everything that derives from records.

As a pytest plugin (``-p selftests.support.stages.toy``) it makes the stage known to a run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dinov3_parity.fixtures.stages import registry
from dinov3_parity.fixtures.stages.info import Info

from docs.examples.numpy_port import NumPyPort

INFO = Info(
    name="toy",
    parent="meta",
    classes={"vit": "selftests.support.stages.toy:Toy"},
    distributions=("scipy",),
    needs=("numpy",),
    called={"vit": {"tokens": "toy_cat >"}},
    lacks=("norm", "rotate", "activation", "value", "tables"),
)


def make(meta, folder: Path) -> None:
    """Its artifact: the parent's parameters in NumPy's own format."""
    weights = meta.parameters()
    np.savez(folder / "toy.npz", **{name: weights[name] for name in weights})


def values(variant, meta):
    return meta


class Toy(NumPyPort):
    """The example of a port, made of an artifact of its own."""

    name = "toy"

    def __init__(self, variant, folder: Path):
        with np.load(folder / "toy.npz") as held:
            super().__init__(variant, {name: held[name] for name in held.files})

    def holding(self, values):
        other = Toy.__new__(Toy)
        NumPyPort.__init__(other, self.variant, values)
        return other


registry.stages()
registry.register(INFO)
