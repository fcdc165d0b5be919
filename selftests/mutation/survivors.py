"""Mutants that survive and may: no verdict is another with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Survivor:
    """A mutant by the function ``where`` it is, and the text before and after."""

    path: str
    where: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path}, {self.where or 'as it is imported'}: `{self.old}` → `{self.new}`"


YARDSTICK, COMPARATOR = "parity/yardstick.py", "parity/comparator.py"
SWEEP, DIVERGENCE = "fixtures/sweep/sweep.py", "parity/records/divergence.py"
DEVIATIONS = "parity/records/deviations.py"
VERDICT = "reports/texts/verdict.py"

_UNIT = "a unit keeps squares in range, and no more"
_LENGTH = "another way to the same length, for the cosine"
_WORDS = "it is in words alone"
_COST = "to whom the time of a pass is put down"
_TIME = "it saves time alone"

#: Of each the reason.
_ROWS = (
    (YARDSTICK, "rms_by_token", "1.0", "10.0", _UNIT),
    (YARDSTICK, "widened", "np.abs(known.meta).max", "np.abs(known.meta).min", _UNIT),
    (YARDSTICK, "standard", "run is meta", "False", _TIME),
    (
        YARDSTICK, "widened", "value <= known.floor.value", "value < known.floor.value",
        "a floor that is as large is the same floor",
    ),
    (
        YARDSTICK, "_constant", "values.flat[-1] == first and (values == first).all()",
        "(values == first).all()", _TIME,
    ),
    (YARDSTICK, "errors_by_token", "not np.isfinite(found).all()", "True", _UNIT),
    (
        YARDSTICK, "compare", "why or shown is None", "why",
        "what is not shown has a reason why; the other half is for the type checker",
    ),
    (YARDSTICK, "_length", "TINY32 < square < np.inf", "TINY32 <= square < np.inf", _LENGTH),
    (YARDSTICK, "_length", "TINY32 < square < np.inf", "TINY32 >= square < np.inf", _LENGTH),
    (YARDSTICK, "_length", "TINY32 < square < np.inf", "False", _LENGTH),
    (COMPARATOR, "", "3", "4", "on how many inputs a mistake's name is asked"),
    (COMPARATOR, "", "60", "61", "how long the smallest failing input is looked for"),
    (
        COMPARATOR, "Comparator.close", "0.0", "1.0",
        "where nothing was measured there are words, and nobody climbs",
    ),
    (COMPARATOR, "Comparator._depart", "True", "False", _WORDS),
    (COMPARATOR, "_broken_down", "record.problem or record.breakdown", "record.problem", _TIME),
    (COMPARATOR, "Comparator.compare", "1.0", "10.0", "both are below every strength"),
    (COMPARATOR, "published_gate", "-1", "1", "the last of two axes"),
    (SWEEP, "Member._follow", "not (handed_on or wanted)", "False", _TIME),
    (SWEEP, "together", "log or CostRecorder()", "CostRecorder()", _COST),
    (
        SWEEP, "together",
        "any((member.comparator.wants(mode, place) for member in (leader, *others)))", "True", _TIME,
    ),
    (SWEEP, "together", "(leader, *others)", "list((leader, *others))[:-1]", _COST),
    (SWEEP, "together", "reference.rest()", "pass", "it saves memory alone"),
    (
        SWEEP, "together", "resume_point and (not lost) and (place != reference.places[-1])",
        "resume_point and (not lost)", "a mark of the last place is removed at once",
    ),
    (DIVERGENCE, "", "8", "9", _WORDS),
    (
        "reports/verdicts.py", "Edge", "0", "1",
        "what every edge of a run is given, where it has none",
    ),
    ("reports/verdicts.py", "_compared", "0", "1", "a ratio is told with its limit"),
    (
        "parity/records/stages.py", "ordered", "name not in known", "True",
        "records and run.json name the same parents",
    ),
    (DEVIATIONS, "_tap", "name in family.taps", "True", "as long as there is one family"),
    (
        DEVIATIONS, "_computed_from",
        "family.parts[tap.part].given and family.parts[tap.part].handed_on",
        "family.parts[tap.part].given", "a part with what it is given hands it on, too",
    ),
    (
        DEVIATIONS, "Tally.strongest", "m.strain > found[key].strain",
        "m.strain >= found[key].strain", "of two that are as near either may be told",
    ),
    ("parity/relations.py", "", "100", "101", "the seed of other images"),
    (VERDICT, "", "1000", "1001", _WORDS),
    (
        VERDICT, "_exit",
        "ended and verdict.edges and (verdict.word in (DEPARTS, INCOMPLETE, OUTDATED))",
        "ended and verdict.edges", "with edges there is no other word",
    ),
)  # fmt: skip

#: Why each changes no verdict.
KNOWN: Mapping[Survivor, str] = MappingProxyType({Survivor(*at): why for *at, why in _ROWS})
