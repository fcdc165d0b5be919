"""The forms in which a model's tokens are returned, each a function of all of them.

Tokens are (B, N, D): cls, registers, patches row by row. A form is what somebody means to have, or a
known mistake, which is judged as what was ``meant``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np


@dataclass(frozen=True)
class Layout:
    """How tokens lie: ``prefix`` of them, cls and registers, before a ``grid`` (rows, columns)."""

    prefix: int
    grid: tuple[int, int]


Make = Callable[[np.ndarray, Layout], np.ndarray]


@dataclass(frozen=True)
class Form:
    """``make`` takes tokens (B, N, D) of any float dtype, and keeps the dtype.

    ``axes`` are those of what it makes, in the words of taps; ``meant`` is the form that it is judged
    as, with its axes after ``undo``; ``limit`` the tap of the head whose limit that has. ``mistake``
    says that nobody wants it.
    """

    name: str
    make: Make
    axes: str
    limit: str
    meant: str = ""
    undo: Callable[[np.ndarray], np.ndarray] | None = None
    mistake: bool = False

    @property
    def judged(self) -> str:
        return self.meant or self.name

    @property
    def words(self) -> str:
        return f"{self.name}, in the place of {self.meant}" if self.mistake else self.name


def _mean(x: np.ndarray) -> np.ndarray:
    """Over tokens; summed in float64, so that it shows their error alone."""
    return x.mean(1, dtype=np.float64).astype(x.dtype)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _patches(x: np.ndarray, at: Layout) -> np.ndarray:
    return x[:, at.prefix :]


def _map(x: np.ndarray, at: Layout) -> np.ndarray:
    return _map_last(x, at).transpose(0, 3, 1, 2)


def _map_last(x: np.ndarray, at: Layout) -> np.ndarray:
    return _patches(x, at).reshape(len(x), *at.grid, x.shape[-1])


def _columns(x: np.ndarray, at: Layout) -> np.ndarray:
    """Patches column by column."""
    turned = _map_last(x, at).transpose(0, 2, 1, 3)
    return turned.reshape(len(x), -1, x.shape[-1])


def _prefixed(x: np.ndarray, count: int, rest: np.ndarray) -> np.ndarray:
    return np.concatenate([x[:, :count], rest], 1)


def _from_map(y: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(y.reshape(*y.shape[:2], -1).transpose(0, 2, 1))


def _from_map_last(y: np.ndarray) -> np.ndarray:
    return y.reshape(len(y), -1, y.shape[-1])


TOKENS, CLS_PATCHES, PATCHES = "every token", "cls and patches", "patches"
CLS, REGISTERS, POOLED = "cls", "registers", "pooled patches"

_FORMS = (
    Form(TOKENS, lambda x, at: x, "B N D", "norm"),
    Form(CLS_PATCHES, lambda x, at: _prefixed(x, 1, _patches(x, at)), "B N D", "norm"),
    Form(PATCHES, _patches, "B P D", "patches"),
    Form("patches as a map", _map, "B D r c", "patches", PATCHES, _from_map),
    Form(
        "patches as a map, channels last", _map_last, "B r c D", "patches", PATCHES, _from_map_last
    ),
    Form(REGISTERS, lambda x, at: x[:, 1 : at.prefix], "B R D", "registers"),
    Form(CLS, lambda x, at: x[:, 0], "B D", "cls"),
    Form(POOLED, lambda x, at: _mean(_patches(x, at)), "B D", "pooled"),
    Form("mean of all tokens", lambda x, at: _mean(x), "B D", "pooled"),
    Form("cls, L2-normalised", lambda x, at: _unit(x[:, 0]), "B D", "cls"),
    Form("pooled patches, L2-normalised", lambda x, at: _unit(_mean(_patches(x, at))), "B D", "pooled"),
    Form("patches, L2-normalised", lambda x, at: _unit(_patches(x, at)), "B P D", "patches"),
    Form("every token, L2-normalised", lambda x, at: _unit(x), "B N D", "norm"),
    # Mistakes.
    Form(
        "mean over registers and patches", lambda x, at: _mean(x[:, 1:]), "B D", "pooled", POOLED,
        mistake=True,
    ),
    Form(
        "mean over cls and patches", lambda x, at: _mean(_prefixed(x, 1, _patches(x, at))), "B D",
        "pooled", POOLED, mistake=True,
    ),
    Form("first register", lambda x, at: x[:, 1], "B D", "cls", CLS, mistake=True),
    Form("last patch", lambda x, at: x[:, -1], "B D", "cls", CLS, mistake=True),
    Form(
        "every token, patches in column order",
        lambda x, at: _prefixed(x, at.prefix, _columns(x, at)), "B N D", "norm", TOKENS, mistake=True,
    ),
    Form(
        "every token, registers in reverse",
        lambda x, at: np.concatenate([x[:, :1], x[:, 1 : at.prefix][:, ::-1], _patches(x, at)], 1),
        "B N D", "norm", TOKENS, mistake=True,
    ),
    Form(
        "every token, registers behind the patches",
        lambda x, at: np.concatenate([x[:, :1], _patches(x, at), x[:, 1 : at.prefix]], 1),
        "B N D", "norm", TOKENS, mistake=True,
    ),
    Form(
        "cls and patches, these in column order",
        lambda x, at: _prefixed(x, 1, _columns(x, at)), "B N D", "norm", CLS_PATCHES, mistake=True,
    ),
    Form("patches in column order", _columns, "B P D", "patches", PATCHES, mistake=True),
    Form(
        "patches as a map, rows and columns exchanged",
        lambda x, at: _map(x, at).transpose(0, 1, 3, 2), "B D c r", "patches", PATCHES, _from_map,
        mistake=True,
    ),
    Form(
        "registers and the first patches",  # cut after cls alone
        lambda x, at: x[:, 1 : at.grid[0] * at.grid[1] + 1], "B P D", "patches", PATCHES, mistake=True,
    ),
)  # fmt: skip

#: By name, what is meant before mistakes.
FORMS: Mapping[str, Form] = MappingProxyType({form.name: form for form in _FORMS})

#: Of tokens after the final norm: the taps of the head that a form is, or can be taken apart into.
TAPS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    TOKENS: ("norm", "cls", "registers", "patches", "pooled"),
    CLS_PATCHES: ("cls", "patches", "pooled"),
    PATCHES: ("patches", "pooled"),
    REGISTERS: ("registers",),
    CLS: ("cls",),
    POOLED: ("pooled",),
})  # fmt: skip


def taps_of(name: str, value: np.ndarray, prefix: int) -> dict[str, np.ndarray]:
    """The head's taps in an array of one of the forms of ``TAPS``, each in its own dtype."""
    if name in (REGISTERS, CLS, POOLED):
        return {TAPS[name][0]: value}
    first = {TOKENS: prefix, CLS_PATCHES: 1, PATCHES: 0}[name]
    patches = value[:, first:]
    found = {"norm": value, "cls": value[:, 0], "registers": value[:, 1:prefix]}
    found |= {"patches": patches, "pooled": _mean(patches)}
    return {tap: np.ascontiguousarray(found[tap]) for tap in TAPS[name]}


def final_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """LayerNorm of tokens (B, N, D), in their own dtype."""
    weight, bias = weight.astype(x.dtype), bias.astype(x.dtype)
    centred = x - x.mean(-1, keepdims=True)
    variance = np.square(centred).mean(-1, keepdims=True)
    return centred / np.sqrt(variance + x.dtype.type(eps)) * weight + bias
