"""Whether what was found is right: every tap is computed from Meta's values of the taps before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dinov3_parity.parity.alignment.alignment import DATAFLOW, PARAMETERS, VALUES, Found
from dinov3_parity.parity.alignment.match import CLEAN, NEAR, Shown
from dinov3_parity.parity.alignment.samples import Key

#: What is asked of a ``search.Search``: it imports this module.
Search = Any


def confirm(search: Search) -> None:
    """Confirmed once more with the tap's own order where another one explains nothing after it."""
    if plainer := _confirmed(search):
        search.found |= plainer
        _confirmed(search)


def _confirmed(search: Search) -> dict[Key, Found]:
    """Compute each tap from Meta's values of the taps before it: what was found is near Meta's, or
    what comes after is; else it was taken wrongly, and is given up. Those are returned, in the tap's
    own order, that were taken in another and have nothing behind them that is Meta's."""
    wanted = {name for one in search.found.values() for name in one.names}
    shown = Shown(search.samples, search.run_on(sorted(wanted), search.given(search.found)))
    errors = {
        key: shown.error(key, one.name, one.layout) if one.name in shown.arrays[0] else one.error
        for key, one in search.found.items()
    }
    plainer: dict[Key, Found] = {}
    for key, error in errors.items():
        behind = [errors[k] for k in search.behind(key) if k in errors]
        by = search.found[key].by
        if any(one <= CLEAN for one in behind) and DATAFLOW not in by:
            by = (*by, DATAFLOW)
        if error <= CLEAN and VALUES not in by:
            by = (*by, VALUES)
        search.found[key] = replace(search.found[key], by=by, error=error)
        laid = shown.laid(key, search.found[key].name)
        if laid and laid[0] != search.found[key].layout and behind and min(behind) > CLEAN:
            plainer[key] = replace(search.found[key], layout=laid[0])
        if error > NEAR and not {PARAMETERS, DATAFLOW} & set(by):
            del search.found[key]
            search.gone[key] = "no value is near it, nor is what comes after it Meta's"
    return {key: one for key, one in plainer.items() if key in search.found}
