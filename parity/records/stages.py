"""The tree of stages: whose weights derive from whose, as records and run.json tell it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dinov3_parity.parity.records.measurement import Measurement

#: Stages by name, each with its parent's; "" of one that derives from none.
Parents = Mapping[str, str]


def parents(found: Iterable[Measurement]) -> dict[str, str]:
    """Every stage of some records and its parent, in the order in which they appear."""
    told: dict[str, str] = {}
    for m in found:
        told.setdefault(m.stage, m.parent)
    return told


def ordered(stages: Parents, pipeline: Iterable[Mapping[str, str]] = ()) -> list[str]:
    """The names of stages, each after what it derives from: by depth in the tree, then in the order
    of the run's ``pipeline`` (its entries have ``name`` and ``parent``). Stages that the pipeline
    does not name come after all others."""
    known = {one["name"]: one["parent"] for one in pipeline}
    every = {**known, **{name: parent for name, parent in stages.items() if name not in known}}
    places = {name: place for place, name in enumerate(every)}
    return sorted(stages, key=lambda name: (name not in known, _depth(name, every), places[name]))


def _depth(name: str, parents: Parents) -> int:
    """How many stages are above one; those of a circle once."""
    above: list[str] = []
    while (name := parents.get(name, "")) and name not in above:
        above.append(name)
    return len(above)
