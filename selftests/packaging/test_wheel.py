"""The wheel holds all that a run needs under one name, and disturbs nobody's repository."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from selftests.support.documents import ROOT


@pytest.fixture
def ran(python, store):
    """Run the environment's Python in a folder; nothing of this checkout is on its path."""

    def run(folder: Path, *words: str) -> subprocess.CompletedProcess:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))}
        return subprocess.run(
            [str(python), *words], cwd=folder, env=kept | {"DINOV3_PARITY_STORE": str(store.root)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        )  # fmt: skip

    return run


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A repository of somebody else's, with packages named as our folders are, and a conftest.py."""
    repository = tmp_path / "theirs"
    for name in ("fixtures", "parity", "reports"):
        (repository / name).mkdir(parents=True)
        (repository / name / "__init__.py").write_text(f"OWN = {name!r}\n")
    (repository / "conftest.py").write_text(
        "import fixtures, parity, reports\n"
        "assert fixtures.OWN == 'fixtures'\n"
        "def pytest_addoption(parser):\n"
        "    parser.addoption('--seed'); parser.addoption('--stage'); parser.addoption('--store')\n"
    )
    (repository / "test_theirs.py").write_text(
        "import sys, fixtures, parity, reports\n"
        "def test_own_packages_are_found():\n"
        "    assert (fixtures.OWN, parity.OWN, reports.OWN) == ('fixtures', 'parity', 'reports')\n"
        "def test_nothing_of_ours_was_loaded():\n"
        "    ours = {name for name in sys.modules if name.startswith('dinov3_parity')}\n"
        "    assert ours <= {'dinov3_parity', 'dinov3_parity.fixtures',\n"
        "                    'dinov3_parity.fixtures.pytest_plugin',\n"
        "                    'dinov3_parity.fixtures.pytest_plugin.invocation'}\n"
    )
    (repository / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return repository


def test_the_wheel_holds_one_package(wheel):
    with zipfile.ZipFile(wheel) as opened:
        tops = {name.partition("/")[0] for name in opened.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"dinov3_parity"}


def test_the_wheel_holds_every_file_that_a_run_reads(wheel):
    with zipfile.ZipFile(wheel) as opened:
        held = set(opened.namelist())
    read = [
        path
        for folder in ("parity", "fixtures", "reports")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".md", ".LICENSE")
    ]
    wanted = {f"dinov3_parity/{path.relative_to(ROOT).as_posix()}" for path in read}
    wanted = {name for name in wanted if "/reports/out/" not in name}
    package = "dinov3_parity/fixtures/package/dinov3_parity/"
    wanted = {name.replace(package, "dinov3_parity/") for name in wanted}
    assert sorted(wanted - held) == []


def test_a_repository_with_folders_of_our_names_is_undisturbed(ran, foreign):
    shown = ran(foreign, "-m", "pytest", "-q")
    assert shown.returncode == 0, shown.stdout
    assert "2 passed" in shown.stdout


def test_the_suite_runs_from_any_folder_by_the_packages_name(ran, tmp_path):
    words = ("-m", "pytest", "--pyargs", "dinov3_parity", "-k", "vits16 and checkpoint")
    shown = ran(tmp_path, *words)
    assert shown.returncode == 0, shown.stdout
    assert "checkpoint vits16: synthetic" in shown.stdout and " passed" in shown.stdout
    assert len(list((tmp_path / "dinov3-parity-reports").iterdir())) == 1


def test_a_conftest_where_the_suite_is_run_by_name_is_not_loaded(ran, foreign):
    """It is about the repository's own tests, and here takes names of the suite's options."""
    shown = ran(foreign, "-m", "pytest", "--pyargs", "dinov3_parity", "-k", "vits16 and checkpoint")
    assert shown.returncode == 0 and " passed" in shown.stdout, shown.stdout


def test_a_port_is_checked_by_an_installed_suite_in_somebody_elses_repository(ran, foreign):
    (foreign / "ported.py").write_text((ROOT / "docs" / "examples" / "numpy_port.py").read_text())
    words = ("check", "ported:NumPyPort", "-k", "primitives", "--json", "v.json")
    shown = ran(foreign, "-m", "dinov3_parity.fixtures.cli.main", *words)
    assert shown.returncode == 0, shown.stdout
    assert (
        shown.stdout.endswith("check: holds: vits16: numpy holds\n")
        and "v.json" not in shown.stdout
    )
    assert (foreign / "v.json").is_file() and len(
        list((foreign / "dinov3-parity-reports").iterdir())
    ) == 1


def test_the_suite_measures_from_any_folder_with_workers(ran, tmp_path):
    words = (
        "-m",
        "pytest",
        "--pyargs",
        "dinov3_parity",
        "-k",
        "vits16 and onnx and blocks",
        "-n",
        "2",
    )
    shown = ran(tmp_path, *words, "--report-dir=report")
    assert shown.returncode == 0, shown.stdout
    assert "vits16: onnx holds" in shown.stdout
    assert (tmp_path / "report" / "index.html").is_file()


def test_the_command_runs_from_any_folder(ran, tmp_path):
    shown = ran(tmp_path, "-m", "dinov3_parity.fixtures.cli.main", "--version")
    assert shown.returncode == 0 and shown.stdout.startswith("dinov3-parity ")


def test_the_command_lists_the_matrix_of_an_installed_suite(ran, tmp_path):
    shown = ran(tmp_path, "-m", "dinov3_parity.fixtures.cli.main", "matrix")
    assert shown.returncode == 0 and '"ort1.18"' in shown.stdout, shown.stdout


def test_only_one_name_is_imported(ran, tmp_path):
    for name in ("fixtures", "parity", "reports"):
        shown = ran(tmp_path, "-c", f"import {name}")
        assert "ModuleNotFoundError" in shown.stdout, name
