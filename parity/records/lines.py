"""The lines of a measurements.jsonl, where any of them may be damaged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from operator import itemgetter
from pathlib import Path
from sys import intern
from types import NoneType
from typing import Any

from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, Measurement
from dinov3_parity.parity.taps import BLOCK, TAPS, extent
from dinov3_parity.parity.variants import VARIANTS


def _refuse(token: str) -> None:
    raise ValueError(f"{token} is not JSON")


#: NaN and the infinities are no JSON, though Python reads them.
decode: Callable[[str], Any] = json.JSONDecoder(parse_constant=_refuse).decode


def read(path: Path) -> tuple[list[Measurement], list[str]]:
    """The measurements of a file of JSON lines, and what is lost of them."""
    found, garbled, strange, why, lost = [], [], [], "", []
    line = b"\n"
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                found.append(_measurement(decode(str(line, "utf-8"))))
            except (_NotOne, OverflowError) as error:
                why = why or str(error)
                strange.append(number)
            except (ValueError, RecursionError):
                garbled.append(number)
    if garbled and not line.endswith(b"\n"):
        garbled.pop()
        lost.append(f"The last line of {path.name} was cut off: one comparison is lost.")
    if garbled:
        lost.append(f"{_told(garbled, path)} not JSON.")
    if strange:
        lost.append(f"{_told(strange, path)} no measurement of this suite: {why}.")
    return found, lost


def _told(numbers: Sequence[int], path: Path) -> str:
    if len(numbers) == 1:
        return f"Line {numbers[0]} of {path.name} is"
    return f"{len(numbers):,} lines of {path.name}, the first of them line {numbers[0]}, are"


class _NotOne(Exception):
    """A line is not a measurement, and why."""


_FIGURE = (int, float)

#: What JSON has for a field, by the field's annotation.
_KINDS = {
    "str": str,
    "str | None": (str, NoneType),
    "int": int,
    "int | None": (int, NoneType),
    "float": _FIGURE,
    "float | None": (*_FIGURE, NoneType),
    "bool": bool,
    "tuple[int, int]": list,
    "tuple[int, ...]": list,
    "dict[str, Any] | None": (dict, NoneType),
}
_FIELDS = {f.name: _KINDS[f.type] for f in fields(Measurement)}
_OPTIONAL = {f.name: f.default for f in fields(Measurement) if f.default is not MISSING}
_LISTS = tuple(f.name for f in fields(Measurement) if f.type.startswith("tuple"))
_WORDS = tuple(f.name for f in fields(Measurement) if f.type == "str")
_figures = itemgetter(*(f.name for f in fields(Measurement) if f.type.startswith("float")))
_values, _kinds = itemgetter(*_FIELDS), tuple(_FIELDS.values())


def _measurement(told: Any) -> Measurement:
    """A record from what its line told.

    A run of a large variant has hundreds of thousands: dataclass and dict are filled directly, and
    words that all of them repeat are kept once.
    """
    if type(told) is not dict:
        raise _NotOne("it has no fields")
    for name, default in _OPTIONAL.items():
        told.setdefault(name, default)
    try:
        values = _values(told)
    except KeyError as error:
        raise _NotOne(f"it lacks {error.args[0]}") from None
    if len(told) != len(_FIELDS):
        raise _NotOne(f"it has {', '.join(sorted(told.keys() - _FIELDS))}, too")
    if not all(map(isinstance, values, _kinds)):
        wrong = next(n for n, kind in _FIELDS.items() if not isinstance(told[n], kind))
        raise _NotOne(f"its {wrong} is {told[wrong]!r:.40}")
    for name in _LISTS:
        told[name] = tuple(told[name])
    for name in _WORDS:
        told[name] = intern(told[name])
    _check(told)
    record = object.__new__(Measurement)
    vars(record).update(zip(_FIELDS, _values(told), strict=True))
    return record


def _check(told: dict[str, Any]) -> None:
    """Refuse values that the readers of a measurement cannot do without."""
    if told["variant"] not in VARIANTS or told["tap"] not in TAPS:
        raise _NotOne(f"there is no {told['variant']!r:.40} with a tap {told['tap']!r:.40}")
    if told["mode"] not in (ISOLATED, CHAINED):
        raise _NotOne(f"its mode is {told['mode']!r:.40}")
    if len(told["grid"]) != 2 or not _INT.issuperset(
        map(type, (*told["grid"], *told["token"], *told["max_abs_index"]))
    ):
        raise _NotOne("its grid, token or max_abs_index is not of whole numbers")
    if not all(map(math.isfinite, filter(None, _figures(told)))):
        raise _NotOne("a figure of it is beyond numbers")
    if told["limit"] <= 0 or told["token_limit"] <= 0:
        raise _NotOne("its limit is not positive")
    if (told["block"] is None) == (TAPS[told["tap"]].part == BLOCK):
        raise _NotOne(f"its block is {told['block']} at {told['tap']}")
    if told["batch"] < 1 or min(told["grid"]) < 1 or told["floor_alone"] <= 0:
        raise _NotOne("its batch, grid or floor is not positive")
    if told["passed"] and (told["problem"] or None in (told["ratio"], told["token_ratio"])):
        raise _NotOne("it passed without figures")
    if told["profile"] is not None and not _fits(told["profile"], told):
        raise _NotOne("its profile does not fit its tap and input")


def _fits(profile: dict[str, Any], told: dict[str, Any]) -> bool:
    """Whether a profile has what its readers take from it: see ``parity.profile``."""
    tap, image, tokens = TAPS[told["tap"]], profile.get("image"), profile.get("tokens")
    shape = extent(tap, VARIANTS[told["variant"]], told["batch"], tuple(told["grid"]))
    count = math.prod(shape[axis] for axis in tap.token_axes if tap.shape[axis] != "B")
    images, along = range(told["batch"]) if "B" in tap.shape else (None,), profile.get("along")
    return (
        image in images and type(image) in (int, NoneType)
        and _ratios(tokens) and len(tokens) == count
        and isinstance(along, dict) and all(map(_axis, along.values()))
    )  # fmt: skip


def _ratios(told: Any) -> bool:
    return isinstance(told, list) and all(isinstance(one, (*_FIGURE, NoneType)) for one in told)


def _axis(told: Any) -> bool:
    return (
        isinstance(told, dict) and _ratios(told.get("ratio"))
        and all(type(told.get(name)) is int for name in ("size", "worst"))
        and isinstance(told.get("share"), _FIGURE)
    )  # fmt: skip


_INT = {int}
