"""Mistakes made in what judges, and whether the suite's own tests notice: how many die, and which live.

    python -m selftests.mutation [WORD ...] [--seed N] [--out FILE]

WORDs choose modules by a part of their paths; ``named`` alone, named mistakes and no others. First come
the named ones, each before the tests that must notice it; then generated ones, a sample by the seed, each
before the quick tests that reach it. Exit code 0 when every named one is
killed and every survivor is accounted for, 1 when one is not.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

from selftests.mutation import trial
from selftests.mutation.named import NAMED, Named
from selftests.mutation.operators import Mutant, mutants, mutated
from selftests.mutation.survivors import KNOWN, Survivor
from selftests.mutation.targets import TARGETS, Target

#: Seconds that a mutant may take: one that goes round for ever is killed by them.
LIMIT = 150

#: The word that asks for named mistakes and no others.
ALONE = "named"


@dataclass
class Score:
    """What became of the mutants of a module, ``tried`` of ``every``; ``accounted`` survive for a reason
    that is known, ``others`` for none."""

    path: str
    every: int
    tried: int = 0
    killed: int = 0
    accounted: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @property
    def row(self) -> str:
        return (
            f"| {self.path} | {self.every} | {self.tried} | {self.killed} | {len(self.accounted)} | "
            f"{len(self.others)} |"
        )


HEAD = """| module | mutants | tried | killed | survive, equivalent | survive |
| --- | ---: | ---: | ---: | ---: | ---: |"""


def chosen(target: Target, seed: int) -> tuple[list[Mutant], int]:
    """The mutants of a module that are tried, one in ``each`` by a seed, and how many there are."""
    every = mutants(trial.ROOT / target.path, target.words)
    some = random.Random(f"{seed} {target.path}").sample(every, -(-len(every) // target.each))
    return sorted(some, key=lambda one: one.number), len(every)


def _made(one: Named) -> CodeType:
    return compile(one.source(trial.ROOT), str(trial.ROOT / one.path), "exec")


def named(some: Sequence[Named], store: str) -> list[str]:
    """Of named mistakes those that no test notices; each is told."""
    unnoticed = []
    for one in some:
        outcome = trial.tried(trial.ROOT / one.path, partial(_made, one), [one.by], store, LIMIT)
        told = f"killed by {outcome.by}" if outcome.killed else f"SURVIVES {one.by}"
        print(f"{one.name}: {told}", flush=True)
        unnoticed += [] if outcome.killed else [one.name]
    return unnoticed


def generated(target: Target, seed: int, found: dict[str, Any]) -> Score:
    """The mutants of a module, each before the tests that reach it; survivors are told."""
    path = trial.ROOT / target.path
    some, every = chosen(target, seed)
    score = Score(target.path, every, len(some))
    for one in some:
        tests = trial.those_that_reach(found, path, one.lines, target.tests, target.enough)
        code = partial(mutated, path, one.number, target.words)
        if tests and trial.tried(path, code, tests, found["store"], LIMIT).killed:
            score.killed += 1
            continue
        told = Survivor(target.path, one.where, one.old, one.new)
        why = KNOWN.get(told, "")
        (score.accounted if why else score.others).append(str(told))
        print(
            f"  line {one.lines[0]}, {len(tests)} tests: {told}{f' ({why})' * bool(why)}",
            flush=True,
        )
    return score


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m selftests.mutation")
    parser.add_argument("words", nargs="*", metavar="WORD", help="a part of a module's path")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the table goes, too")
    options = parser.parse_args(words)
    os.chdir(trial.ROOT)
    begun, chosen_ones = time.monotonic(), [word for word in options.words if word != ALONE]
    about = lambda path: not chosen_ones or any(word in path for word in chosen_ones)
    targets = [one for one in TARGETS if about(one.path) and ALONE not in options.words]
    tests = {test for one in targets for test in one.tests} or {one.by for one in NAMED}
    found = trial.reached(sorted(tests), [trial.ROOT / one.path for one in targets])
    if found["failed"]:
        raise SystemExit(f"without a mistake there fails: {', '.join(found['failed'])}")
    trial.prepare(found["modules"])
    unnoticed = named([one for one in NAMED if about(one.path)], found["store"])
    scores: list[Score] = []
    for target in targets:
        scores.append(generated(target, options.seed, found))
        print(scores[-1].row, flush=True)
    tried, killed = (sum(getattr(one, name) for one in scores) for name in ("tried", "killed"))
    table = "\n".join((HEAD, *(one.row for one in scores)))
    print(f"\n{table}\n\n{killed} of {tried} killed, seed {options.seed}, "
          f"{len(found['seconds'])} tests, {(time.monotonic() - begun) / 60:.0f} minutes.")  # fmt: skip
    if options.out:
        options.out.write_text(f"{table}\n", "utf-8")
    return int(bool(unnoticed or any(one.others for one in scores)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
