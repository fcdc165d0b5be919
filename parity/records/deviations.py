"""Known departures of a port: the entries of ``--deviations FILE``, and what a run makes of them.

The list is strict, as the matrix's is: what is not listed fails, what is listed and got worse fails,
and so does an entry whose tap was compared and no longer departs. See docs/ports.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import FAMILIES, VARIANTS
from dinov3_parity.parity.families.base import Family, Place, Tap
from dinov3_parity.parity.layers import LAYERS
from dinov3_parity.parity.records import policy
from dinov3_parity.parity.records.divergence import known_of
from dinov3_parity.parity.records.measurement import Measurement
from dinov3_parity.parity.records.policy import Kind
from dinov3_parity.parity.words import counted
from msgspec import Struct
from packaging.requirements import Requirement

#: Of the suite's own stages.
OWN = Path(__file__).parents[1] / "deviations.toml"

#: A variant's name that means each of them.
EVERY = "*"

_CEILINGS = Kind(
    "a table of taps, each with a number above zero",
    lambda value: isinstance(value, dict) and all(map(policy.is_number, value.values())),
)
_UNTIL = Kind(
    "a date, or a requirement such as 'transformers>=6'",
    lambda value: type(value) is date or policy.is_text(value),
)

FORM = policy.Form(
    {
        "stage": policy.TEXTS, "variant": policy.TEXTS, "tap": policy.TEXTS,
        "ceiling": policy.NUMBER, "reason": policy.TEXT, "until": _UNTIL,
    },
    "stage, variant, tap, ceiling (a noise ratio), reason and until (a date, or a requirement that ends "
    "it); where it is about some of them alone, layer and place; and in a table downstream the ceilings "
    "of taps that are computed from it",
    {"layer": policy.TEXTS, "place": policy.TEXTS, "downstream": _CEILINGS},
)  # fmt: skip


class Deviation(Struct, frozen=True):
    """One known departure, as run.json tells it: ``stages`` depart at ``taps`` by a noise ratio of
    ``ceiling`` at the most, of the whole tap and of any token; ``downstream`` has the same of taps that
    are computed from these. ``label`` says where it stands; ``expired`` why it no longer counts, ""
    while it does. Empty ``layers`` and ``places`` are all."""

    label: str = ""
    stages: list[str] = []
    variants: list[str] = []
    taps: list[str] = []
    ceiling: float = 0
    downstream: dict[str, float] = {}
    layers: list[str] = []
    places: list[str] = []
    reason: str = ""
    until: str = ""
    expired: str = ""

    def about(self, m: Measurement) -> bool:
        """Whether a measurement is one of its departure itself, not of what is computed from it."""
        return self._concerns(m) and m.tap in self.taps and m.place in (self.places or (m.place,))

    def ceiling_of(self, m: Measurement) -> float | None:
        """The largest ratio that is known there; None where it says nothing of a measurement."""
        if self.about(m):
            return self.ceiling
        after = self._concerns(m) and m.tap in self.downstream and self._reaches(m)
        return self.downstream[m.tap] if after else None

    def _concerns(self, m: Measurement) -> bool:
        return (
            m.stage in self.stages
            and (m.variant in self.variants or EVERY in self.variants)
            and m.layer in (self.layers or (m.layer,))
        )

    def _reaches(self, m: Measurement) -> bool:
        """Whether what a place computes can be of the departure: it does not come before it."""
        order = FAMILIES[m.family].order
        first = min((order(Place.read(place)) for place in self.places), default=())
        return order(Place.read(m.place)) >= first


def load(path: Path, today: date | None = None) -> list[Deviation]:
    """The entries of a policy file as they count today; raises ParityError for one that is not well
    formed, naming the entry."""
    today = today or date.today()
    return policy.read(path, FORM, lambda number, fields: _entry(path, number, fields, today))


def given(path: Path) -> list[Deviation]:
    """The entries of a file that was named to be read; raises ParityError as ``load`` does, and for one
    without any."""
    if found := load(path):
        return found
    raise ParityError(
        f"{path} lists no known departure: there is no [[{policy.TABLE}]] in it. Write one, with "
        f"{FORM.words}; or leave --deviations out."
    )


def near(stage: str, stages: Iterable[str]) -> str:
    """The stage of a run that an entry's may be a slip of, "" where none is called much like it."""
    by_lower = {name.lower(): name for name in stages}
    found = get_close_matches(stage.lower(), by_lower, 1, cutoff=0.7)
    return by_lower[found[0]] if found else ""


def _entry(path: Path, number: int, fields: dict[str, Any], today: date) -> Deviation:
    def texts(key: str) -> list[str]:
        value = fields.get(key, [])
        return [value] if isinstance(value, str) else value

    made = Deviation(
        f"{path.name}, entry {number}", texts("stage"), texts("variant"), texts("tap"),
        float(fields["ceiling"]), fields.get("downstream", {}), texts("layer"), texts("place"),
        fields["reason"], str(fields["until"]), _expired(str(fields["until"]), today),
    )  # fmt: skip
    for kind, names, known in (
        ("variant", made.variants, {*VARIANTS, EVERY}),
        ("layer", made.layers, set(LAYERS)),
        ("tap", [*made.taps, *made.downstream], {t for f in FAMILIES.values() for t in f.taps}),
    ):
        for name in names:
            if name not in known:
                raise ValueError(f"there is no {kind} {name!r}")
    for name, ceiling in (*((tap, made.ceiling) for tap in made.taps), *made.downstream.items()):
        _hold_ceiling(name, ceiling)
    for name in made.taps:
        family, tap = _tap(name)
        _hold_places(made, tap)
        for other in made.downstream:
            if not _computed_from(family, family.taps[other], tap):
                raise ValueError(f"downstream: {other} is not computed from {name}")
    return made


def _tap(name: str) -> tuple[Family, Tap]:
    family = next(family for family in FAMILIES.values() if name in family.taps)
    return family, family.taps[name]


def _hold_ceiling(name: str, ceiling: float) -> None:
    """Raise ValueError for a ceiling below which nothing departs: it would explain nothing."""
    limit = _tap(name)[1].limit
    if ceiling <= min(limit.whole, limit.token):
        raise ValueError(
            f"the ceiling {ceiling:g} of {name} is within its limit, {limit.whole:g} of many tokens and "
            f"of one {limit.token:g}: nothing departs below it, so write a larger one, or no entry"
        )


def _hold_places(entry: Deviation, tap: Tap) -> None:
    for words in entry.places:
        try:
            part = Place.read(words).part
        except ValueError:
            part = ""
        if part != tap.part:
            raise ValueError(
                f"place {words!r} is not one of {tap.name}, such as 'block 3' or 'head'"
            )


def _computed_from(family: Family, tap: Tap, root: Tap) -> bool:
    """Whether a tap comes after another in the computation; in a chain of blocks each does."""
    order = list(family.parts).index
    chained = family.parts[tap.part].given and family.parts[tap.part].handed_on
    if tap.part != root.part or chained:
        return order(tap.part) >= order(root.part)
    return root.name in family.ancestors(tap.name)


def _expired(until: str, today: date) -> str:
    """Why a departure is no longer to be expected, in words; "" while it is. Raises ValueError for
    what is neither a date nor a requirement with a version."""
    try:
        last = date.fromisoformat(until)
    except ValueError:
        wanted = Requirement(until)
        if not wanted.specifier:
            raise ValueError(f"until = {until!r} names no date and no version") from None
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            return ""
        over = wanted.specifier.contains(found, prereleases=True)
        return f"it is until {until}, and {wanted.name} {found} is installed" if over else ""
    return f"it is until {until}, which has passed" if today > last else ""


def judged(m: Measurement, entries: Sequence[Deviation]) -> Measurement:
    """A measurement with what the entries know of it, whatever was known of it before."""
    if m.ceiling is not None:
        m = msgspec.structs.replace(m, known="", ceiling=None)
    if m.passed or m.problem:  # what could not be compared is no departure by a ratio
        return m
    about = [(c, e) for e in entries if (c := e.ceiling_of(m)) is not None]
    if not about:
        return m
    valid = [one for one in about if not one[1].expired]
    ceiling, entry = max(valid or about, key=lambda one: one[0])
    reason = entry.reason if valid and m.largest <= ceiling else ""
    return msgspec.structs.replace(m, known=reason, ceiling=ceiling)


def listed(m: Measurement, entries: Iterable[Deviation]) -> bool:
    """Whether an entry that counts is about a measurement, and be that within its limit."""
    return any(not one.expired and one.ceiling_of(m) is not None for one in entries)


@dataclass(frozen=True)
class Tally:
    """What became of an entry: the comparisons that it explains, how many it was about, and in a
    sentence each what of it fails the run."""

    entry: Deviation
    known: list[Measurement]
    compared: int
    stale: list[str]

    @property
    def strongest(self) -> list[Measurement]:
        """Of each stage, variant and tap the comparison nearest to its ceiling."""
        found: dict[tuple, Measurement] = {}
        for m in self.known:
            key = m.stage, m.variant, m.tap
            if key not in found or m.strain > found[key].strain:
                found[key] = m
        return list(found.values())

    @property
    def words(self) -> str:
        """The departure itself, or what is seen of it, in a sentence."""
        seen = self.strongest
        worst = next((m for m in seen if self.entry.about(m)), seen[0])
        return f"{worst.variant}: {worst.stage}, {known_of(worst, len(seen) - 1)}"


def tallies(
    entries: Iterable[Deviation], found: Iterable[Measurement], whole: bool = True
) -> list[Tally]:
    """What became of each entry in a run that took these measurements; ``whole`` is False of one on
    chosen inputs, or that was cut short: there a departure may not show, and that says nothing."""
    by_tap: dict[tuple[str, str], list[Measurement]] = defaultdict(list)
    for m in found:
        if not m.problem:
            by_tap[m.stage, m.tap].append(m)
    return [_tally(entry, by_tap, whole) for entry in entries]


def _tally(
    entry: Deviation, by_tap: dict[tuple[str, str], list[Measurement]], whole: bool
) -> Tally:
    own = [
        m
        for stage in entry.stages
        for tap in (*entry.taps, *entry.downstream)
        for m in by_tap.get((stage, tap), ())
        if entry.ceiling_of(m) is not None
    ]
    expected: dict[tuple[str, ...], list[Measurement]] = defaultdict(list)
    for m in filter(entry.about, own):
        place = (m.place,) if entry.places else ()
        expected[m.stage, m.variant, *place, m.tap].append(m)
    gone = [where for where, at in expected.items() if all(m.passed for m in at)]
    stale = [_no_longer(entry, where, expected[where]) for where in gone] if whole else []
    if own and entry.expired and not stale:
        stale = [
            f"{entry.label} has expired: {entry.expired}. See whether {entry.stages[0]} still departs "
            f"there, and write another until, or delete the entry."
        ]
    known = [] if entry.expired else [m for m in own if m.known]
    return Tally(entry, known, len(own), stale)


def _no_longer(entry: Deviation, where: tuple[str, ...], at: Sequence[Measurement]) -> str:
    stage, variant, *place, tap = where
    worst = max(at, key=lambda m: m.strength)
    rest = len(entry.taps) * len(entry.stages) * len(entry.variants) * len(entry.places or [""])
    what = (
        "Delete the entry"
        if rest == 1 and EVERY not in entry.variants
        else ("Delete the entry, or what of it is not so any more")
    )
    return (
        f"{entry.label}: {stage} no longer departs at {', '.join([*place, tap])} of {variant}: "
        f"{worst.ratio:.3g} of limit {worst.limit:g} at the most, on "
        f"{counted(len(at), 'comparison')}. {what}."
    )
