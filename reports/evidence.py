"""What speaks for a first divergence, and what to do about it: all of it read off the records."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from dinov3_parity.parity.breakdown import stands_out
from dinov3_parity.parity.comparator import GATE_COSINE, GATE_MAX_ABS
from dinov3_parity.parity.families import FAMILIES, VARIANTS, family_of
from dinov3_parity.parity.families.base import Place
from dinov3_parity.parity.faults import Fault, catalogue
from dinov3_parity.parity.records.divergence import OR, Divergence, at_place, quoted, strength_of
from dinov3_parity.parity.records.measurement import CHAINED, LOCAL, Measurement
from dinov3_parity.parity.yardstick import OTHER_SHAPE, ROUNDING

_NO_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType({})

#: As many suspects are named in full.
SUSPECTS = 8


@dataclass(frozen=True)
class Case:
    """A first divergence with its evidence: ``why`` in sentences, the published ``gate``'s answer
    ("" where the run did not ask it), and mistakes of the catalogue that would show there."""

    divergence: Divergence
    why: list[str]
    gate: str
    suspects: list[Fault]
    called: str  # what the stage's own code calls the tap; "" where its operator is named

    @property
    def suspicion(self) -> str:
        """What the suspects are, in words that begin a list of them."""
        if self.divergence.worst.mode == LOCAL or self.divergence.worst.like:
            return (
                "mistake of the catalogue that gives these numbers, made in Meta on the same values"
            )
        return "mistakes of the catalogue that first show there"

    @property
    def named(self) -> list[Fault]:
        """The suspects that there is room for."""
        return self.suspects[:SUSPECTS]

    @property
    def unnamed(self) -> int:
        """How many more there are."""
        return len(self.suspects) - len(self.named)

    @property
    def listing(self) -> str:
        """The command that makes the first suspect, to compare its figures with these."""
        worst = self.divergence.worst
        name = self.suspects[0].name if self.suspects else ""
        of = f"--variant {worst.variant} --stage {shlex.quote(worst.stage)}"
        return f"dinov3-parity faults {quoted(name)} {of}"


def case(
    found: Divergence,
    own: Sequence[Measurement],
    called: Mapping[str, Mapping[str, str]] = _NO_NAMES,
) -> Case:
    """The case for a divergence; ``own`` are all measurements of its variant and stage, ``called`` what
    each stage's own code calls a tap."""
    worst = found.worst
    return Case(
        found,
        list(filter(None, (
            _size(worst), _before(found, own), _inputs(found, own), _blocks(worst, own),
            _inside(worst),
        ))),
        gate(own),
        suspects(found, own),
        "" if worst.node else called.get(worst.tap, {}).get(worst.stage, ""),
    )  # fmt: skip


def _size(m: Measurement) -> str:
    if m.problem.startswith("output "):
        return (
            f"The file's {m.problem}. What it is to be held to cannot be told, which says nothing of the "
            f"other outputs: export a file without it."
        )
    if m.problem:
        return (
            f"The tap is {m.problem}."
            if not m.problem.startswith("not ")
            else f"It is {m.problem}."
        )
    if m.ratio is None:
        return "Its error is beyond float32's range: there is no finite ratio to give."
    by = "one rounding of the truth" if m.floor_setter == "rounding" else f"Meta's {m.floor_setter}"
    if m.floor_setter == "meta":
        by = "Meta's own run"
    told = (
        f"Its rms error against the float64 truth is {m.ratio * m.floor:.3g}; honest float32 does "
        f"{m.floor:.3g} there (the floor, set by {by}"
    )
    if m.floor_setter == "rounding":
        told += f", {ROUNDING:g} eps"
    told += f"). That is {m.ratio:,.3g} floors, and the limit is {m.limit:g}"
    return f"{told}." if m.ratio > m.limit else f"{told}; but it is {strength_of(m)}."


def _blind(worst: Measurement, own: Sequence[Measurement]) -> bool:
    """Whether nothing that a tap of a chain comes from was compared, from the images on: whatever is
    wrong before it first shows there, and that says nothing of its own operation."""
    family = FAMILIES[worst.family]
    at, before = family.order(Place.read(worst.place)), family.ancestors(worst.tap)
    compared = [m for m in own if not m.problem]
    return (
        worst.mode == CHAINED
        and Place.read(worst.place).part != next(iter(family.parts))
        and not any(family.order(Place.read(m.place)) < at for m in compared)
        and not any(m.tap in before and m.place == worst.place for m in compared)
    )


def _before(found: Divergence, own: Sequence[Measurement]) -> str:
    worst, variant = found.worst, VARIANTS[found.variant]
    if _blind(worst, own):
        return (
            "Nothing before it was compared: the mistake may be anywhere from the images on, and none of "
            "the catalogue is suspected."
        )
    family = family_of(variant)
    after = family.taps[worst.tap].after
    if worst.mode == LOCAL:
        return "It was given Meta's own values of all that it is computed from: the fault is here."
    names = [name for name in after if family.has(variant, family.taps[name].only)]
    if not names:
        return _handed_on(worst, own)
    here = [m for m in own if (m.mode, m.block) == (worst.mode, worst.block) and m.tap in names]
    failed = {m.tap for m in here if not m.passed}
    listed = {m.tap for m in here if m.known} - {m.tap for m in here if m.failed}
    known = ", ".join(f"{m.tap} ({m.ratio:.2g})" for m in found.clean if m.tap not in failed)
    over = ", ".join(name for name in names if name in failed - listed)
    apart = ", ".join(name for name in names if name in listed)
    absent = ", ".join(name for name in names if name not in {m.tap for m in here})
    if not (over or absent or apart):
        verb = "are" if names[1:] else "is"
        told = f"What it is computed from {verb} within the limit: {known}"
        return f"{told}. So the fault enters here."
    if not (over or known or apart):
        return f"What it is computed from ({absent}) was not compared in this run."
    told = (
        (known, "within the limit"),
        (over, f"over the limit, as {found.parent}'s"),
        (apart, "departing as is known"),
        (absent, "not compared"),
    )
    said = "; ".join(f"{some} {words}" for some, words in told if some)
    return f"Of what it is computed from: {said}."


def _handed_on(worst: Measurement, own: Sequence[Measurement]) -> str:
    """What a tap that is computed from none of its part is given: in a chain, an earlier output."""
    given = [
        m
        for m in own
        if m.mode == worst.mode == CHAINED
        and m.tap == "output"
        and (worst.block is None or m.block == worst.block - 1)
    ]
    if not given:
        return "Nothing that is compared comes before it: it is this operation or what it is given."
    last = max(given, key=lambda m: (m.block, m.strength))
    if last.known:
        return f"It is given the output of block {last.block}, which departs as is known."
    if not last.passed:
        return f"It is given the output of block {last.block}, which is over its limit."
    return f"It is given the output of block {last.block}, which is within the limit ({last.ratio:.2g})."


def _inputs(found: Divergence, own: Sequence[Measurement]) -> str:
    there = at_place(found.worst, own)
    passing = [str(m.input) for m in there if m.passed]
    if not passing:
        words = "every input" if len(there) > 1 else "the one input"
        return f"It departs on {words} it was compared on ({len(there)})."
    some = list(dict.fromkeys(passing))
    return (
        f"It departs on {len(there) - len(passing)} of {len(there)} comparisons, and not on "
        f"{'; '.join(some[:4])}{' …' if some[4:] else ''}."
    )


def _blocks(worst: Measurement, own: Sequence[Measurement]) -> str:
    if worst.block is None:
        return ""
    same = [m for m in own if (m.mode, m.tap) == (worst.mode, worst.tap) and m.block is not None]
    known, over = {m.block for m in same}, {m.block for m in same if m.failed}
    if len(known) == 1:
        return ""
    if over == known:
        return f"The same tap is over its limit in all {len(known)} blocks: in what they share."
    numbers = ", ".join(map(str, sorted(over)[:12]))
    word = "block" if len(over) == 1 else "blocks"
    return f"Of {len(known)} blocks it departs in {word} {numbers}{' …' if len(over) > 12 else ''} alone."


def _inside(worst: Measurement) -> str:
    """Where inside the tap, by its breakdown: one channel, the registers, patches alone."""
    if not worst.breakdown:
        return ""
    told = [
        f"{name} {axis['worst']} of {axis['size']} holds {100 * axis['share']:.0f} % of the error"
        for name, axis in worst.breakdown["along"].items()
        if stands_out(axis)
    ]
    variant = VARIANTS[worst.variant]
    family = family_of(variant)
    parts = family.split(variant, family.taps[worst.tap], worst.breakdown["tokens"])
    over = {
        name: sum(r is None or r > worst.token_limit for r in ratios)
        for name, ratios in parts.items()
    }
    if len(parts) > 1 and any(over.values()):
        counted = (f"{n} of {len(parts[name])} {name}" for name, n in over.items())
        told.append(f"over the limit of one token are {', '.join(counted)}")
    return f"Inside it, on {worst.input}: {'; '.join(told)}." if told else ""


def gate(own: Sequence[Measurement]) -> str:
    """What the published gate says of a stage's own chain, on the inputs of this run."""
    ends = [m for m in own if m.mode == CHAINED and m.tap in FAMILIES[m.family].published]
    known = [m for m in ends if not m.problem and None not in (m.max_abs, m.cosine)]
    if not known:
        return ""
    largest, least = max(m.max_abs for m in known), min(m.cosine for m in known)
    passed = sum(m.max_abs < GATE_MAX_ABS and m.cosine > GATE_COSINE for m in known)
    if passed == len(ends):
        said = f"passes it on all {len(ends)} of its comparisons"
    else:
        said = (
            f"fails it on {len(ends) - passed} of {len(ends)} comparisons, and does not say where"
        )
    return (
        f"The published 1e-5 gate on cls and pooled patches {said}: max |Δ| {largest:.2e}, "
        f"cosine {least:.9f} at the least."
    )


def suspects(found: Divergence, own: Sequence[Measurement]) -> list[Fault]:
    """Mistakes of the fault catalogue that first show at this tap, in this block, and could have
    stayed hidden on every input on which it holds; none where there were no numbers to compare, but
    for a tap of another shape, and none where nothing before it was compared. Of an operation held alone
    the one whose numbers it has."""
    worst = found.worst
    variant = VARIANTS.get(worst.variant)
    if variant is None or (worst.problem and not worst.problem.startswith(OTHER_SHAPE)):
        return []
    if not worst.problem and _blind(worst, own):
        return []
    if worst.mode == LOCAL or worst.like:  # each of them was tried
        return [one for name, one in catalogue().items() if name in worst.like.split(OR)]
    passing = [m.input for m in at_place(worst, own) if m.passed]
    at = {worst.tap, *found.parallel}
    return [
        fault
        for fault in catalogue().values()
        if fault.tap in at
        and fault.applies(variant)
        and fault.first_block(variant) == worst.block
        and all(fault.hides_on(one) for one in passing)
    ]
