"""Hypothesis strategies for inputs, and how many of them a profile draws.

The shape comes first, then what fills it: shrinking leads to one image of one plain patch instead
of digging in pixels, and the arrays are built from the drawn seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dinov3_parity.parity.inputs.chosen import COVER, TRAPS
from dinov3_parity.parity.inputs.drawn import CHOSEN, CONTENTS, PIXELS, RECORDED, Input
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis import strategies as st

SCALES = (1.0, 0.1, 10.0, 0.01, 100.0, 0.001)

LARGEST = 20  # patches along a side; 40 where the other side is 1 or 2


#: How much more often than others a side is drawn: edge cases, and sizes people export for.
WEIGHTS = {1: 6, 2: 4, 3: 2, 4: 2, 7: 2, 14: 3, 16: 2, 20: 3}


def _sides(most: int, favoured: int = 0) -> st.SearchStrategy[int]:
    """Sides of 1 to ``most`` patches in ascending order, so that shrinking goes down one by one."""
    weighted = WEIGHTS | {favoured: WEIGHTS.get(favoured, 1) + 6}
    return st.sampled_from([n for n in range(1, most + 1) for _ in range(weighted.get(n, 1))])


def grids(area: int) -> st.SearchStrategy[tuple[int, int]]:
    """Patch grids (rows, columns) of at most ``area`` patches.

    One row or column hides the order of flattening, 1×1 makes rope the identity, squares hide
    exchanged axes: none of them may be all that is drawn, and each must be drawn.
    """

    def beside(rows: int) -> st.SearchStrategy[tuple[int, int]]:
        most = min(2 * LARGEST if rows <= 2 else LARGEST, area // rows)
        return st.tuples(st.just(rows), _sides(most, favoured=rows))

    upright = _sides(min(LARGEST, area)).flatmap(beside)
    pairs: Any = st.tuples(upright, st.booleans())
    return pairs.map(lambda drawn: drawn[0][:: -1 if drawn[1] else 1])


def seeds() -> st.SearchStrategy[int]:
    """Seeds of inputs, 0 to 9999, as two numbers below a hundred.

    Into larger ones Hypothesis mixes constants that it finds in the modules loaded so far; what a
    seed draws must not depend on them.
    """
    below = st.integers(0, 99)
    return st.tuples(below, below).map(lambda drawn: 100 * drawn[0] + drawn[1])


@st.composite
def inputs(draw: st.DrawFn, area: int = 4 * LARGEST**2) -> Input:
    """Inputs of 1 to 4 images with at most ``area`` patches in all."""
    grid = draw(grids(min(area, LARGEST**2)))
    batch = draw(st.integers(1, min(4, area // (grid[0] * grid[1]))))
    content = draw(st.sampled_from([one for one in CONTENTS if one != PIXELS]))
    scale = draw(st.sampled_from(SCALES))
    return Input(batch, grid, draw(seeds()), content, scale)


_PHASES = (Phase.explicit, Phase.generate, Phase.shrink)

_COMMON = settings(
    deadline=None,
    database=None,  # a failure is repeated by its one line; every run of a seed draws the same
    derandomize=False,
    print_blob=False,
    report_multiple_bugs=True,  # all pinned inputs are run, also after one of them failed
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.function_scoped_fixture),
    phases=_PHASES,
)

#: quick, the default, draws small inputs from a fixed seed, so that a second run finds its
#: reference in the store; thorough draws of every size; search climbs to the largest ratio, too.
PROFILES = {
    "quick": settings(_COMMON, max_examples=4),
    "thorough": settings(_COMMON, max_examples=50),
    "search": settings(_COMMON, max_examples=200, phases=(*_PHASES, Phase.target)),
}
for _name, _profile in PROFILES.items():
    settings.register_profile(_name, _profile)  # so that --hypothesis-profile knows them

#: What quick draws: at most 48 patches, from a seed whose four inputs have one patch, a row, a
#: column and a block of them, one to three images, and four different contents.
QUICK_SEED, QUICK_AREA = 147, 48


@dataclass(frozen=True)
class Plan:
    """Which inputs the drawn layers run on: the pinned ones, then drawn ones from a seed."""

    settings: settings
    seed: int = QUICK_SEED
    pinned: tuple[Input, ...] = TRAPS
    area: int = QUICK_AREA
    profile: str = "quick"
    cover: tuple[Input, ...] = COVER  # of the whole model alone
    _known: list[tuple[Input, ...]] = field(default_factory=list, compare=False, repr=False)

    @property
    def climbs(self) -> bool:
        """Whether what is drawn depends on what was measured."""
        return Phase.target in self.settings.phases

    @property
    def repeats(self) -> bool:
        """Whether every run draws these inputs unless it is told otherwise."""
        return self.profile == "quick" and self.seed == QUICK_SEED and self.area == QUICK_AREA

    @property
    def kept(self) -> tuple[Input, ...]:
        """The inputs that are likely asked for again: whoever repeats a failure does so until it is gone,
        and of a small input the reference is read sooner than a framework is imported."""
        if self.profile == CHOSEN:
            return tuple(one for one in self.pinned if math.prod(one.grid) <= QUICK_AREA)
        return self.inputs if self.repeats else ()

    @property
    def told(self) -> str:
        """The plan in a line."""
        count = self.settings.max_examples
        if self.profile == RECORDED:
            return f"{len(self.pinned)} {RECORDED}, drawn from seed {self.seed}"
        drawn = f", {count} drawn from seed {self.seed}" if self.profile != CHOSEN else ""
        return f"{self.profile}: {len(self.pinned)} pinned{drawn}"

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs as far as they are known beforehand, in their order, by drawing them once."""
        if not self._known:
            drawn: list[Input] = []
            if Phase.generate in self.settings.phases and not self.climbs:
                self._over(lambda drawn_: drawn.append(drawn_))()
            self._known.append(tuple(dict.fromkeys((*self.pinned, *drawn))))
        return self._known[0]

    @property
    def ends(self) -> tuple[Input, ...]:
        """The inputs of the whole model, as far as they are known beforehand."""
        return tuple(dict.fromkeys((*self.inputs, *self.cover)))

    def _over(self, look: Callable[[Input], None]) -> Callable[[], None]:
        def body(drawn):
            look(drawn)

        return self.apply(body, pinned=())

    def apply(self, test: Callable, pinned: tuple[Input, ...] | None = None) -> Callable:
        """A test of ``drawn`` as a Hypothesis test over this plan's inputs."""
        test = given(drawn=inputs(self.area))(test)
        for one in reversed(self.pinned if pinned is None else pinned):
            test = example(drawn=one)(test)
        return self.settings(seed(self.seed)(test))


def drawn(examples: int, seed: int, area: int = QUICK_AREA) -> tuple[Input, ...]:
    """Up to so many different inputs of at most ``area`` patches from a seed, the same each time."""
    wanted = settings(PROFILES["quick"], max_examples=examples)
    return Plan(wanted, seed, (), area).inputs


_plan = Plan(PROFILES["quick"])


def plan() -> Plan:
    """The plan of this run."""
    return _plan


def follow(chosen: Plan) -> None:
    """Settle the plan of this run, before the modules of the tests are imported."""
    global _plan
    _plan = chosen


def made(
    profile: str, examples: int | None, seed_: int, reproduced: tuple[Input, ...] = ()
) -> Plan:
    """The plan of a profile; with ``reproduced`` inputs, of those and no others."""
    if reproduced:
        only = settings(_COMMON, phases=(Phase.explicit,))
        return Plan(only, seed_, reproduced, profile=CHOSEN, cover=())
    chosen = PROFILES[profile]
    if examples is not None:
        chosen = settings(chosen, max_examples=examples)
    area = QUICK_AREA if profile == "quick" and examples is None else 4 * LARGEST**2
    return Plan(chosen, seed_, area=area, profile=profile)


def of_recordings(
    profile: str, seed_: int, recorded: tuple[Input, ...], cover: tuple[Input, ...]
) -> Plan:
    """The plan of a profile and seed whose inputs are recorded: all pinned, for who drew them may have
    had another Hypothesis, and none drawn beside them; ``cover`` are those of the whole model alone."""
    only = settings(_COMMON, phases=(Phase.explicit,), max_examples=PROFILES[profile].max_examples)
    return Plan(only, seed_, recorded, profile=RECORDED, cover=cover)


def over_inputs(test: Callable) -> Callable:
    """Decorator: run a test of ``drawn`` over the pinned inputs and those that the plan draws."""
    return _plan.apply(test)


def over_whole_inputs(test: Callable) -> Callable:
    """Decorator: the same, and over those that the whole model alone is run on."""
    return _plan.apply(test, (*_plan.pinned, *_plan.cover))
