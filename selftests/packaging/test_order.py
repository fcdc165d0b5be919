"""The order inside: directions of imports, sizes of modules and folders, lists that follow from files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections import Counter

import pytest
from dinov3_parity.parity.layers import table

from selftests.support.documents import ROOT

FOLDERS = ("parity", "fixtures", "reports")

MODULES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
TESTS = sorted((ROOT / "selftests").rglob("*.py"))

#: As many lines as one idea takes, and as many modules as a room holds.
LINES, ROOM = 400, 16


def test_imports_keep_to_their_directions(unpacked):
    """By import-linter, over the wheel: in a checkout the folders do not lie below their name."""
    program = "from importlinter.cli import lint_imports_command as run; run()"
    shown = subprocess.run(
        [sys.executable, "-c", program, "--config", str(ROOT / "pyproject.toml"), "--no-cache"],
        cwd=unpacked, env=os.environ | {"PYTHONPATH": str(unpacked)}, capture_output=True, text=True,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_every_room_has_its_place_in_the_directions():
    """What the contract does not name it does not hold to anything; the layers' tests import all."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (directions,) = (one["layers"] for one in told if one["name"] == "directions")
    named = [name for line in directions for name in line.split(" | ")]
    rooms = {
        f"dinov3_parity.{folder}.{path.stem}"
        for folder in ("parity", "fixtures") for path in (ROOT / folder).iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").is_file())
        and path.stem != "__init__" and not path.stem.startswith("test_")
    }  # fmt: skip
    assert sorted(named) == sorted(rooms | {"dinov3_parity.reports"})
    assert {"acyclic_siblings"} < {one["type"] for one in told}


def test_the_picture_of_the_house_has_every_room_that_has_its_place():
    """The picture of docs/architecture.md; ``taps`` stands in it with the families that have them."""
    told = (ROOT / "docs/images/architecture.svg").read_text("utf-8")
    texts = re.findall(r">([^<>]+)</text>", told)
    shown = {re.sub(r":.*|^parity\.", "", word) for text in texts for word in text.split(", ")}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    (directions,) = (one["layers"] for one in contracts if one["name"] == "directions")
    named = {name.rpartition(".")[2] for line in directions for name in line.split(" | ")}
    rooms = shown - {"fixtures", "parity", "pages", "figures", "texts"}
    assert rooms == named - {"taps"}


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short(path):
    assert len(path.read_text("utf-8").splitlines()) <= LINES


def test_no_folder_is_crowded():
    """Of the layers' folder the tests, which stand beside what they use, are counted apart."""
    every = [*MODULES, *TESTS]
    crowd = Counter((path.parent, path.name.startswith("test_")) for path in every)
    assert {str(folder): n for (folder, _), n in crowd.items() if n > ROOM} == {}


def test_every_folder_of_code_is_in_the_wheel():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {".".join(("dinov3_parity", *p.parent.relative_to(ROOT).parts)) for p in MODULES}
    found = found - {"dinov3_parity.fixtures.package.dinov3_parity"} | {"dinov3_parity"}
    assert sorted(told) == sorted(found)


def test_the_readmes_table_of_layers_is_the_suites():
    assert table() in (ROOT / "README.md").read_text("utf-8")


def test_no_stage_or_family_is_named_where_any_is_meant():
    """Modules that are about every stage or family name none: these lists derive from the records."""
    about_all = [
        *(ROOT / "parity" / "records").glob("*.py"), *(ROOT / "fixtures" / "sweep").glob("*.py"),
        ROOT / "parity" / "comparator.py", ROOT / "parity" / "yardstick.py",
    ]  # fmt: skip
    named = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in about_all
        for word in ('"equimo"', '"mapped"', '"blocks.', "patch = 16")
        if word in path.read_text("utf-8") and path.stem != "older"
    ]
    assert named == []
