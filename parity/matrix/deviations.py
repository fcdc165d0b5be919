"""Known upstream defects: ``deviations.toml``, and what a run's cells make of it.

An entry names what happens, on which versions and cells, why, and how to see it. It is strict: what
is not listed fails, what is listed and got worse fails, and so does what no longer happens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dinov3_parity.parity.matrix.cell import CRASH, DRIFT, UNSUPPORTED, Cell, Record
from dinov3_parity.parity.records import policy
from packaging.specifiers import SpecifierSet

FILE = Path(__file__).with_name("deviations.toml")

FORM = policy.Form(
    {
        "name": policy.TEXT, "verdict": policy.TEXT, "versions": policy.TEXT,
        "reason": policy.TEXT, "evidence": policy.TEXT,
    },
    "name, verdict (drift, crash or unsupported), versions, reason and evidence; a drift a ceiling, too",
    {
        "opsets": policy.NUMBERS, "forms": policy.LIST, "levels": policy.LIST,
        "ceiling": policy.NUMBER, "words": policy.TEXT,
    },
)  # fmt: skip


@dataclass(frozen=True)
class Deviation:
    """One known defect. ``versions`` is a range of onnxruntime's; empty ``opsets``, ``forms`` or
    ``levels`` are all; a drift has a ``ceiling``, the largest ratio that is known of it; ``words``
    must be part of what the cell says."""

    name: str
    verdict: str
    versions: SpecifierSet
    reason: str
    evidence: str
    opsets: tuple[int, ...] = ()
    forms: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    ceiling: float | None = None
    words: str = ""

    def covers(self, cell: Cell) -> bool:
        """Whether a cell is one that it is about."""
        return (
            self.versions.contains(cell.version, prereleases=True)
            and cell.opset in (self.opsets or (cell.opset,))
            and cell.form in (self.forms or (cell.form,))
            and cell.level in (self.levels or (cell.level,))
        )

    def explains(self, found: Record) -> bool:
        """Whether a cell's result is this defect, and no worse."""
        within = self.ceiling is None or (found.ratio is not None and found.ratio <= self.ceiling)
        return found.verdict == self.verdict and self.words in found.words and within


def load(path: Path = FILE) -> list[Deviation]:
    """The entries of a policy file; raises ParityError for one that is not well formed."""
    return policy.read(path, FORM, _entry)


def _entry(number: int, fields: dict[str, Any]) -> Deviation:
    if fields["verdict"] not in (DRIFT, CRASH, UNSUPPORTED):
        raise ValueError(f"{fields['name']}: there is no verdict {fields['verdict']!r} to expect")
    if (fields["verdict"] == DRIFT) != ("ceiling" in fields):
        raise ValueError(f"{fields['name']}: a drift, and nothing else, has a ceiling")
    lists = {key: tuple(fields[key]) for key in ("opsets", "forms", "levels") if key in fields}
    told: dict[str, Any] = fields | lists | {"versions": SpecifierSet(fields["versions"])}
    return Deviation(**told)


def unlisted(found: Record, entries: Iterable[Deviation]) -> str:
    """Why a cell fails, in words; "" when it holds or a listed defect explains it."""
    about = [entry for entry in entries if entry.covers(found.cell)]
    if any(entry.explains(found) for entry in about):
        return ""
    if found.verdict in (DRIFT, CRASH):
        worse = [e.name for e in about if e.verdict == found.verdict]
        known = f" It is worse than the listed '{worse[0]}'." if worse else ""
        return f"{told(found)}{known}"
    gone = [entry.name for entry in about]
    if gone:
        return (
            f"{found.cell.id} on {found.cell.version}: '{gone[0]}' is listed and did not happen "
            f"({told(found)}). Narrow its entry in parity/matrix/deviations.toml."
        )
    return ""


def told(found: Record) -> str:
    """A cell's result in a sentence."""
    where = f"{found.cell.id} on onnxruntime {found.cell.version}: {found.verdict}"
    if found.verdict == DRIFT:
        return (
            f"{where}, {found.ratio or float('inf'):.3g} times the rounding floor at {found.tap} (limit "
            f"{found.limit:g}) on {found.input}; first over its limit: {found.first or 'not looked for'}"
        )
    return f"{where}: {found.words}" if found.words else where


def unmatched(found: Iterable[Record], entries: Iterable[Deviation]) -> list[str]:
    """Names of entries that no cell of a run was about."""
    cells = [one.cell for one in found]
    return [entry.name for entry in entries if not any(entry.covers(cell) for cell in cells)]
