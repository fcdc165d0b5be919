"""Which versions the main job was seen to hold on, together: docs/compatibility.md, from runs.

    python -m selftests.compatibility REPORT...

adds a row a run, from what its report recorded, to docs/compatibility.json and writes the page from all
rows; without a report it writes the page alone. A run of the same versions takes the place of the one
before. Only runs that compared what they declared are taken in.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from dinov3_parity.parity.records import reader
from dinov3_parity.parity.words import counted
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
ROWS, PAGE = ROOT / "docs" / "compatibility.json", ROOT / "docs" / "compatibility.md"

#: The packages whose versions make a row, beside Python.
PACKAGES = ("torch", "jax", "equimo", "jax2onnx", "onnxruntime", "numpy")

_HEAD = """\
# Compatibility

Which versions were seen together, by runs of the main job; a package that is not in a row was not there.
Where torch was not, the reference was recorded by another's (`dinov3-parity record`).
The ratio is the largest that a run found: of a whole tap to its limit of at least 3, of one token to
its own. Written from what these runs recorded: `python -m selftests.compatibility REPORT...` adds one.

"""

_BOUNDS = """
Python 3.14 was not at hand; every package of a row has a wheel for it on PyPI (jaxlib 0.11.2, onnxruntime
1.32.0, onnx 1.23.2, NumPy 2.5.5 among them; Linux, x86-64). `tox run -e py314` runs the main job there.

## Bounds

Lower bounds are versions that a row above has, or that the suite was written on; an upper bound is there
because something broke, or was not tried yet.

| package | bound | why |
| --- | --- | --- |
"""

#: Why a package has an upper bound.
WHY = {
    "equimo": "1.1.1 and 2.x lay their packages out anew; beside 1.1.0 and 2.7 none was tried",
    "jax": "jax2onnx 0.17.1 asks 0.12 for `ClosedJaxpr`, which it no longer has: no file for every size",
    "jax2onnx": "what it writes changes between releases; the snapshots say how",
    "pytest": "9.2 with pytest-xdist 3.8 keeps no group of tests in one worker, and says nothing",
    "torch": "below it pip finds a CPU build in more places; newer ones that were tried stand above",
    "transformers": "6 is not there yet",
}


def row(report: Path) -> dict[str, Any]:
    """What a report says of the versions it ran on. Raises ValueError for one that did not hold."""
    run = reader.read(report)
    header, found = run.header, run.found
    contract = header["contract"]
    if (
        not found
        or contract["compared"] != contract["declared"]
        or any(not m.passed for m in found)
    ):
        raise ValueError(
            f"{report}: it did not compare all that it declared, or something departed"
        )
    python = header["host"]["python"]
    return {
        "python": python, **{name: header["versions"].get(name, "") for name in PACKAGES},
        "recorded": header["references"]["packages"].get("torch", ""),
        "variants": sorted({m.variant for m in found}),
        "stages": list(dict.fromkeys(m.stage for m in found)),
        "compared": len(found),
        "ratio": float(f"{max(m.ratio or 0 for m in found):.3g}"),
        "token_ratio": float(f"{max(m.token_ratio or 0 for m in found):.3g}"),
        "day": header["started"][:10],
    }  # fmt: skip


def added(rows: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in the order of their versions, the newest first; of the same ones the last."""
    by = {_versions(one): one for one in (*rows, *more)}
    return sorted(by.values(), key=_order, reverse=True)


def _versions(one: dict[str, Any]) -> tuple:
    return (*(one[name] for name in ("python", *PACKAGES)), *one["variants"], *one["stages"])


def _order(one: dict[str, Any]) -> tuple:
    return tuple(Version(one[name] or "0") for name in ("python", *PACKAGES))


def page(rows: list[dict[str, Any]]) -> str:
    """The page, as Markdown."""
    names = ("Python", *PACKAGES, "ran", "compared", "largest ratio", "of one token", "on")
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    for one in rows:
        cells = [one[name] or "–" for name in ("python", *PACKAGES)]
        if torch := one.get("recorded"):
            cells[1] = f"– (recorded by {torch})"
        ran = f"{', '.join(one['variants'])}: {', '.join(one['stages'])}"
        cells += [
            ran,
            counted(one["compared"], "tap"),
            f"{one['ratio']:g}",
            f"{one['token_ratio']:g}",
        ]
        lines.append(f"| {' | '.join((*cells, one['day']))} |")
    bounds = [f"| {name} | `{spec}` | {WHY[name]} |" for name, spec in sorted(bounded().items())]
    return _HEAD + "\n".join(lines) + "\n" + _BOUNDS + "\n".join(bounds) + "\n"


def bounded() -> dict[str, str]:
    """The packages that pyproject.toml gives an upper bound, with their bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: of for name, of in project["optional-dependencies"].items() if name != "docs"}
    wanted = [line for of in (project["dependencies"], *extras.values()) for line in of]
    found = [Requirement(line) for line in wanted]
    upper = lambda one: any(part.operator in ("<", "<=", "==") for part in one.specifier)
    told: dict[str, list[str]] = {}
    for one in filter(upper, found):
        told.setdefault(one.name, []).append(
            f"{one.specifier}{f'; {one.marker}' if one.marker else ''}"
        )
    return {name: " or ".join(bounds) for name, bounds in told.items()}


def main(reports: list[str]) -> None:
    kept = json.loads(ROWS.read_text()) if ROWS.is_file() else []
    rows = added(kept, [row(Path(one)) for one in reports])
    ROWS.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
