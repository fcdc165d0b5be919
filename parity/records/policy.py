"""Policy files: TOML that lists known departures, an entry each, all read and refused in the same way.

The matrix runs where there is nothing but NumPy and pytest: this needs the standard library alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dinov3_parity.parity.errors import ParityError

#: The table that an entry is.
TABLE = "deviation"

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """What a key may hold, and its words."""

    words: str
    fits: Callable[[Any], bool]


def is_text(value: Any) -> bool:
    """Whether a value is a string that says something."""
    return isinstance(value, str) and bool(value.strip())


def is_number(value: Any) -> bool:
    """Whether a value is a finite number above zero, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e300


def _all(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and bool(value) and all(map(fits, value))


TEXT = Kind("a string that says something", is_text)
TEXTS = Kind("a string, or a list of strings", lambda value: is_text(value) or _all(is_text)(value))
LIST = Kind("a list of strings", _all(is_text))
NUMBER = Kind("a number above zero", is_number)
NUMBERS = Kind("a list of numbers", _all(is_number))


@dataclass(frozen=True)
class Form:
    """What an entry has: its keys, by what they hold; ``words`` say so to who wrote another."""

    required: Mapping[str, Kind]
    words: str
    optional: Mapping[str, Kind] = field(default_factory=dict)

    def check(self, fields: Any) -> None:
        """Raise ValueError for an entry of another form."""
        if not isinstance(fields, dict):
            raise ValueError("it is no table")
        known = {**self.required, **self.optional}
        if strange := sorted(set(fields) - set(known)):
            raise ValueError(f"there is no key {', '.join(map(repr, strange))}")
        if missing := [key for key in self.required if key not in fields]:
            raise ValueError(f"it has no {' and no '.join(missing)}")
        for key, value in fields.items():
            if not known[key].fits(value):
                raise ValueError(f"{key} = {value!r:.60} is not {known[key].words}")


def read(path: Path, form: Form, made: Callable[[int, dict[str, Any]], T]) -> list[T]:
    """The entries of a policy file, each made of its number, from 1 on, and its fields.

    Raises ParityError, one paragraph that names the entry, for a file that cannot be read, for an entry
    of another form, and where ``made`` raises ValueError.
    """
    number = 0
    try:
        told = tomllib.loads(path.read_text("utf-8"))
        entries = told.pop(TABLE, [])
        if told or not isinstance(entries, list):
            raise ValueError(f"it holds something else than tables [[{TABLE}]]")
        found = []
        for number, fields in enumerate(entries, 1):
            form.check(fields)
            found.append(made(number, fields))
        return found
    except (OSError, ValueError, RecursionError) as error:
        where = f"entry {number}: " if number else ""
        why = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise ParityError(
            f"{path} cannot be used as a list of known departures: {where}{why}. Each [[{TABLE}]] has "
            f"{form.words}."
        ) from error
