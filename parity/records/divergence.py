"""First divergence: the earliest tap, in dataflow order, at which a stage is over its limit; what is a
known departure is none."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from dinov3_parity.parity.families import FAMILIES
from dinov3_parity.parity.families.base import Place, Tap
from dinov3_parity.parity.faults import catalogue
from dinov3_parity.parity.layers import LAYERS
from dinov3_parity.parity.records import stages
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, LOCAL, Measurement
from dinov3_parity.parity.words import counted

#: What means nothing to a shell inside quotes of either kind.
_PLAIN = re.compile(r"[\w .,:;()/'=+-]*")

#: How a run is begun: in a checkout; from any folder, by the package's name; by the command for ports.
PYTEST, BY_NAME, CHECK = "pytest", "pytest --pyargs dinov3_parity", "dinov3-parity check"

#: What the command for ports has before a port that is a command.
COMMAND = "--command="

#: Between mistakes that give the same numbers.
OR = " or "

#: So many of the operations that depart by themselves are told.
_TOLD = 8

#: What the stage is held against that is the reference itself.
REFERENCE = "the reference"


@dataclass(frozen=True)
class Divergence:
    """Where a stage first departs: ``worst`` is the strongest measurement at the first tap.

    ``parallel`` are other taps over their limit that no failing tap explains either (q beside k);
    ``others`` the operations further on that depart by themselves, where each was looked at alone;
    ``clean`` are the taps it is computed from that are within theirs.
    """

    variant: str
    stage: str
    parent: str
    worst: Measurement
    parallel: tuple[str, ...]
    clean: tuple[Measurement, ...]
    inputs: int  # measured at this tap
    failing: int  # of them over the limit
    options: tuple[str, ...] = ()  # of the run, which a repetition needs as well
    program: str = PYTEST  # what the run was begun with
    others: tuple[Measurement, ...] = ()

    @property
    def like(self) -> str:
        """Which mistake of the catalogue it is, in words; "" where it is none."""
        return like_of(self.worst)

    @property
    def command(self) -> str:
        """What repeats it, on the worst input."""
        worst = self.worst
        about, layer = (worst.variant, worst.stage, worst.layer), LAYERS.get(worst.layer)
        drawn = str(worst.input) if layer is None or layer.drawn else ""
        return repetition(self.program, about, drawn, self.options)

    def __str__(self) -> str:
        worst = self.worst
        often = f"on {self.failing} of {counted(self.inputs, 'comparison')} there"
        whom = "itself" if worst.relation else self.parent
        text = (
            f"{self.variant}: {self.stage} departs from {whom} at {worst.where} "
            f"({worst.relation or worst.mode}): {strength_of(worst)}, {often}."
        )
        if worst.node:
            text += f" Its operator is {worst.node}."
        if self.like:
            text += f" {self.like[0].upper()}{self.like[1:]}."
        if worst.output:
            text += f" Its output {worst.output}."
        if self.parallel:
            text += f" At the same place in the dataflow, too: {', '.join(self.parallel)}."
        if self.clean:
            known = ", ".join(f"{m.where} ({m.ratio:.2g})" for m in self.clean)
            text += f" Last clean taps before it: {known}."
        if self.others:
            told = [
                f"{m.where} ({strength_of(m)}{f'; {like_of(m)}' if m.like else ''})"
                for m in self.others[:_TOLD]
            ]
            more = len(self.others) - len(told)
            text += f" By themselves, too: {'; '.join(told)}{f' and {more} more' * bool(more)}."
        return text


def repetition(
    program: str, about: tuple[str, str, str], drawn: str, options: Iterable[str] = ()
) -> str:
    """The line that repeats a run on one input, from the folder that the run was begun in; ``about`` are
    variant, stage and layer, ``drawn`` is "" where the layer has inputs of its own."""
    variant, stage, layer = about
    drawn = quoted(drawn, by="'") if drawn else ""
    again = f" --reproduce {drawn}" if drawn else ""
    more = f" {shlex.join(options)}" if options else ""
    if port := _checked(program):  # names the stage, and hands on what follows two dashes
        more = f" --{more}" if more else ""
        return (
            f"{CHECK} {port} --variant {shlex.quote(variant)} -k {shlex.quote(layer)}{again}{more}"
        )
    begun = BY_NAME if program == BY_NAME else PYTEST
    return f"{begun} -k {quoted(f'{variant} and {stage} and {layer}')}{again}{more}"


def _checked(program: str) -> str:
    """The port that a run of the command was about, as one word of a shell's; "" of any other run. The
    program comes with the records, as names do."""
    known, port = program.startswith(f"{CHECK} "), program.removeprefix(f"{CHECK} ")
    return shlex.quote(port) if known else ""  # of a command the option and it are that word


def quoted(words: str, by: str = '"') -> str:
    """Words as one of a shell's, whatever is in them: a stage's name comes with the records."""
    plain = _PLAIN.fullmatch(words) and by not in words
    return f"{by}{words}{by}" if plain else shlex.quote(words)


def strength_of(m: Measurement) -> str:
    """How far over its limit a measurement is, in words: on the whole, or at its worst token."""
    if m.problem:
        return m.problem
    if m.ratio is None:
        return "further from the truth than a number can say"
    worse = m.ceiling is not None and m.largest > m.ceiling
    listed = f", worse than the ceiling of its entry, {m.ceiling:g}" if worse else ""
    if m.ceiling is not None and not (worse or m.known):
        listed = f", its entry of ceiling {m.ceiling:g} has expired"
    if m.ratio > (m.ceiling if m.ceiling and worse else m.limit) or m.token_ratio is None:
        return f"{m.ratio:,.3g} times the rounding floor, limit {m.limit:g}{listed}"
    return (
        f"{m.token_ratio:,.3g} times the rounding floor at token {token_of(m)}, limit "
        f"{m.token_limit:g}{listed}"
    )


def like_of(m: Measurement) -> str:
    """That a measurement has the numbers of a mistake of the catalogue, in words; "" where of none."""
    if not m.like:
        return ""
    known = catalogue().get(m.like)
    words = f", {known.words}" if known else ""
    words += f" (known departure of {known.known})" if known and known.known else ""
    several = OR.join(map(repr, m.like.split(OR)))
    return f"it has the numbers of the mistake {several}{words}"


def known_of(m: Measurement, more: int = 0) -> str:
    """A known departure in a line: where, and at how many more taps, by how much, its ceiling, and why it
    is known."""
    others = f" and {counted(more, 'more tap')}" if more else ""
    return (
        f"{m.where} ({m.mode}){others}: {m.largest:,.3g} times the rounding floor, limit {m.limit:g}, "
        f"ceiling {m.ceiling:g}: {m.known}"
    )


def token_of(m: Measurement) -> str:
    """The worst token: its number, and the image's where there are several."""
    if len(m.token) < 2:
        return str(m.token[0]) if m.token else "0"
    image = f" of image {m.token[0]}" if m.batch > 1 else ""
    return f"{m.token[1]}{image}"


def _depth(measurement: Measurement) -> tuple:
    """What comes earlier in the computation sorts first."""
    return FAMILIES[measurement.family].order(Place.read(measurement.place))


def first(measurements: Iterable[Measurement]) -> Divergence | None:
    """The first divergence of one variant: of its earliest failing stage, or None if all hold.

    Of each operation alone is asked first: there a fault shows in its own tap and nowhere else; then of
    each place alone.
    """
    found = list(measurements)
    failing = [m for m in found if m.failed]
    if not failing:
        return None
    departed = {m.stage for m in failing}
    stage = next(one for one in stages.ordered(stages.parents(found)) if one in departed)
    failing = [m for m in failing if m.stage == stage]
    mode = next(one for one in (LOCAL, ISOLATED, CHAINED) if any(m.mode == one for m in failing))
    failing = [m for m in failing if m.mode == mode]
    failing = [m for m in failing if not m.relation] or failing  # against Meta before itself
    where = min(map(_depth, failing))
    here = [m for m in failing if _depth(m) == where]
    taps = {m.tap for m in here}
    family = FAMILIES[here[0].family]
    roots = [n for n in family.taps if n in taps and not family.ancestors(n) & taps]
    at = [m for m in found if m.stage == stage and m.mode == mode and _depth(m) == where]
    if mode == LOCAL:  # none explains another
        roots = [name for name in family.taps if name in taps][:1]
    root = max(roots, key=lambda name: max(m.strength for m in here if m.tap == name))
    own = [m for m in here if m.tap == root]
    worst = max(own, key=_by_strength)
    told = [m.like.split(OR) for m in own]
    agreed = [name for name in told[0] if all(name in one for one in told)]
    worst = msgspec.structs.replace(worst, like=OR.join(agreed))  # what no input denies
    return Divergence(
        variant=worst.variant,
        stage=stage,
        parent=worst.parent or REFERENCE,
        worst=worst,
        parallel=tuple(name for name in roots if name != root),
        clean=_clean_before(family.taps[root], at),
        inputs=sum(m.tap == root for m in at),
        failing=sum(m.tap == root for m in here),
        others=_by_themselves(failing, worst) if mode == LOCAL else (),
    )


def _by_themselves(failing: list[Measurement], but: Measurement) -> tuple[Measurement, ...]:
    """The strongest measurement of each operation that departs, in the order of the computation, but for
    that of one."""
    taps = list(FAMILIES[but.family].taps)
    strongest: dict[tuple[str, str], Measurement] = {}
    for m in sorted(failing, key=_by_strength):
        strongest[m.place, m.tap] = m
    del strongest[but.place, but.tap]
    return tuple(sorted(strongest.values(), key=lambda m: (_depth(m), taps.index(m.tap))))


def _clean_before(root: Tap, at: list[Measurement]) -> tuple[Measurement, ...]:
    """The strongest measurement of each tap that the root is directly computed from."""
    near = [[m for m in at if m.tap == name and m.passed] for name in root.after]
    return tuple(max(group, key=_by_strength) for group in near if group)


def at_place(one: Measurement, found: Iterable[Measurement]) -> list[Measurement]:
    """The comparisons of a stage at a measurement's place, on every input."""
    place = (one.mode, one.place, one.tap)
    return [m for m in found if (m.mode, m.place, m.tap) == place]


def _by_strength(measurement: Measurement) -> float:
    return measurement.strength
