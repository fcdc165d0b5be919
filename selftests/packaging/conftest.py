"""A wheel of this checkout, and an environment that it is installed in, each made once."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

from selftests.support.documents import ROOT


@pytest.fixture(scope="session")
def wheel(tmp_path_factory, worker_id) -> Path:
    """Built once for all workers of a run: two builds of one checkout write the same files."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "wheel"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def unpacked(wheel, tmp_path_factory) -> Path:
    """The wheel's content, as a folder to import from."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def python(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel and nothing of this checkout; what the suite needs is this one's."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    program = folder / "bin" / "python"
    pip = [program, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(list(map(str, pip)), check=True, capture_output=True)
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = subprocess.run([program, "-c", asked], check=True, capture_output=True, text=True)
    # A line of a .pth file is a folder to look in; what .pth files in that folder say is not done.
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(own.stdout.strip()) / "zz-needs.pth").write_text("\n".join(sorted(places)))
    return program
