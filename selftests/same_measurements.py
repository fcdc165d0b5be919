"""Whether two states of the suite measure the same, bit by bit: the guard of a change that must not show.

    python -m selftests.same_measurements BEFORE AFTER

BEFORE and AFTER are checkouts, each of which makes the main job here on a store of its own,
or folders of reports that were made. Every figure of every comparison must be the same number; what a
format adds is not looked at. Exit code 0 when they are, 1 when one is not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from dinov3_parity.parity.records import lines, reader
from dinov3_parity.parity.records.measurement import Measurement

#: What says of which comparison a record is.
KEY = (
    "variant", "stage", "layer", "mode", "place", "tap", "batch", "grid", "seed", "content",
    "scale", "runtime",
)  # fmt: skip


def made(of: Path, folder: Path) -> Path:
    """The folder of a report: itself, or that of the main job of a checkout."""
    if not (of / "conftest.py").is_file():
        return of
    words = ["-k", "vits16", "-q", f"--report-dir={folder}", f"--store={folder}-store"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    places = os.pathsep.join(map(str, (of / "fixtures" / "package", of)))
    subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=of,
        check=True,
        env=kept | {"PYTHONPATH": places},
    )
    return folder


def by_key(found: list[Measurement]) -> dict[tuple, dict]:
    """The fields of each record; of those that say the same of themselves each has a number, too."""
    told, times = {}, Counter()
    for fields in sorted(map(lines.fields, found), key=repr):
        key = tuple(str(fields[name]) for name in KEY)
        told[*key, times[key]] = fields
        times[key] += 1
    return told


def differences(before: list[Measurement], after: list[Measurement]) -> list[str]:
    """What is not the same, a line each."""
    old, new = by_key(before), by_key(after)
    told = [f"only before: {key}" for key in old if key not in new]
    told += [f"only after: {key}" for key in new if key not in old]
    for key in old.keys() & new.keys():
        for name, value in old[key].items():
            if repr(new[key].get(name)) != repr(value):
                told.append(f"{key}: {name} {value!r} is {new[key].get(name)!r}")
    return told


def main(words: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        both = [
            reader.read(made(Path(word).resolve(), Path(folder) / name)).found
            for word, name in zip(words, ("before", "after"), strict=True)
        ]
    told = differences(*both)
    print(f"{len(both[0]):,} and {len(both[1]):,} comparisons, {len(told)} differences")
    print(*told[:20], sep="\n")
    return 1 if told or not both[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
