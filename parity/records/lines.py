"""Records as lines: one JSON object a line, written by appending, read where any may be damaged.

Every process of a run appends to fragments of its own; the controller merges them when the run
ends, so that nothing is lost or doubled under pytest-xdist. Non-finite figures are written as
null: the lines are strict JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from dinov3_parity.parity.families import FAMILIES
from dinov3_parity.parity.families.base import Place
from dinov3_parity.parity.records import older
from dinov3_parity.parity.records.measurement import Breakdown, Measurement

_decode: Callable[[bytes], Measurement] = msgspec.json.Decoder(Measurement).decode
_encode_lines: Callable[[Iterable[Measurement]], bytes] = msgspec.json.Encoder().encode_lines


class Strange(ValueError):
    """JSON that is no measurement of this suite, and why."""


def write(path: Path, records: Sequence[Measurement]) -> None:
    """Append records to a file of JSON lines, one write per call."""
    try:
        lines = _encode_lines(records)
    except UnicodeEncodeError:  # a name that is no UTF-8, which msgspec does not write
        lines = "".join(json.dumps(fields(one)) + "\n" for one in records).encode()
    with path.open("ab") as stream:
        stream.write(lines)


def fields(record: Measurement) -> dict[str, Any]:
    """The fields of a record's line, as JSON takes them; without a breakdown where it has none."""
    return msgspec.to_builtins(record)


def measured(told: Any) -> Measurement:
    """A record from the fields of its line, of this format or of the one before.

    Raises ``Strange``, a ValueError, where they are not those of a measurement.
    """
    try:
        record = msgspec.convert(older.upgraded(told), Measurement)
    except msgspec.ValidationError as error:
        raise Strange(str(error)) from None
    return _checked(record)


def read(path: Path) -> tuple[list[Measurement], list[str]]:
    """The measurements of a file of JSON lines, and in a sentence each what is lost of them."""
    found, garbled, strange, why, lost = [], [], [], "", []
    line = b"\n"
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                found.append(_measurement(line))
            except Strange as error:
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


def _measurement(line: bytes) -> Measurement:
    try:
        record = _decode(line)
    except ValueError:  # damaged, of an older suite, or with a name that is no UTF-8
        return measured(decoded(line))
    return _checked(record)


def decoded(text: bytes) -> Any:
    """What JSON tells; ValueError where it is none, as with NaN or a figure beyond float64."""
    try:
        return msgspec.json.decode(text)
    except ValueError:
        return _STRICT.decode(str(text, "utf-8"))


def _refuse(token: str) -> NoReturn:
    raise ValueError(f"{token} is not JSON")


def _finite(token: str) -> float:
    value = float(token)
    return value if math.isfinite(value) else _refuse(token)


#: Python's own reads halves of surrogate pairs, with which msgspec ends; and NaN, which is refused.
_STRICT = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _checked(m: Measurement) -> Measurement:
    """A record whose values the readers can do with; raises ``Strange``."""
    if why := _misplaced(m.family, m.variant, m.tap, m.place):
        raise Strange(why)
    if m.passed and (m.problem or m.ratio is None or m.token_ratio is None):
        raise Strange("it passed without figures")
    if m.known and (m.passed or m.ceiling is None or m.largest > m.ceiling):
        raise Strange("it is known and no departure within a ceiling")
    if m.breakdown is not None and not _fits(m.breakdown, m):
        raise Strange("its breakdown does not fit its tap and input")
    return m


@lru_cache(maxsize=65536)
def _misplaced(family: str, variant: str, tap: str, place: str) -> str:
    """What is wrong with where a record was taken; "" where nothing is."""
    known = FAMILIES.get(family)
    if known is None or variant not in known.variants or tap not in known.taps:
        return f"there is no {family!r:.40} {variant!r:.40} with a tap {tap!r:.40}"
    try:
        read = Place.read(place)
    except ValueError:
        read = Place("")
    repeated = {one.part: bool(one.index) for one in known.places(known.variants[variant])}
    own = read.part == known.taps[tap].part and str(read) == place
    if not own or repeated[read.part] != bool(read.index):
        return f"its place is {place!r:.40} at {tap}"
    return ""


def _fits(breakdown: Breakdown, m: Measurement) -> bool:
    """Whether a breakdown is of its tap and input: see ``parity.breakdown``."""
    count, batched = _tokens(m.family, m.variant, m.tap, m.batch, m.grid)
    image = breakdown["image"]
    there = image is not None and 0 <= image < m.batch if batched else image is None
    return there and len(breakdown["tokens"]) == count


@lru_cache(maxsize=65536)
def _tokens(
    family: str, variant: str, name: str, batch: int, grid: tuple[int, int]
) -> tuple[int, bool]:
    """How many tokens one image has at a tap, and whether the tap has images at all."""
    known = FAMILIES[family]
    tap = known.taps[name]
    shape = known.extent(tap, known.variants[variant], batch, grid)
    count = math.prod(shape[axis] for axis in tap.token_axes if tap.shape[axis] != "B")
    return count, "B" in tap.shape
