"""The doctor says what can run here and why something cannot, and imports none of it itself."""

import json
import subprocess
import sys
import tomllib

import pytest
from dinov3_parity.fixtures.cli import doctor
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.host import extras, importing
from dinov3_parity.fixtures.stages import registry
from dinov3_parity.fixtures.stages.info import Info
from dinov3_parity.fixtures.stages.registry import stages
from packaging.requirements import Requirement

from selftests.conftest import ROOT

#: Stages beside those of the published workflow.
OTHERS = set(stages()) - {"meta", "equimo", "mapped", "onnx"}


def asked(tmp_path, capsys, *words):
    code = main(["doctor", "--json", "--store", str(tmp_path / "store"), *words])
    return code, json.loads(capsys.readouterr().out)


def test_where_the_suite_runs_everything_can_run_and_no_framework_is_imported(tmp_path):
    """In a process of its own, which says at its end what it has imported."""
    code = (
        "import sys; from dinov3_parity.fixtures.cli.main import main; code = main(sys.argv[1:]); "
    )
    code += "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    words = ["doctor", "--json", "--store", str(tmp_path / "store")]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "dinov3_parity.fixtures.cli.doctor" in loaded
    assert not loaded & {"torch", "jax", "onnx", "onnxruntime", "equimo"}
    told = json.loads(done.stdout)
    assert told["exit"] == 0 and not any(told["steps"].values())
    assert (
        told["packages"]["torch"]["found"] and told["packages"]["jax"]["bounds"] == "<0.12,>=0.10.2"
    )
    assert told["store"]["writable"] and not (tmp_path / "store").exists()  # it only looks


@pytest.mark.parametrize(
    ("name", "found", "stages", "steps"),
    [
        ("equimo", "2.0", "equimo mapped", "convert map export compare run bundle"),
        ("onnxruntime", "", "onnx", "export compare run bundle"),
        ("torch", "", "meta equimo", "convert compare run bundle"),
        ("hypothesis", "1.0", "", "pytest check"),
    ],
)
def test_what_is_missing_or_out_of_bounds_stands_in_the_way_of_what_needs_it(
    tmp_path, capsys, monkeypatch, name, found, stages, steps
):
    known = extras.installed
    monkeypatch.setattr(extras, "installed", lambda one: found if one == name else known(one))
    code, told = asked(tmp_path, capsys, "--no-import")
    assert code == 2
    for kind, blocked in (("stages", stages), ("steps", steps)):
        stopped = {one for one, why in told[kind].items() if why}
        assert stopped - OTHERS == set(blocked.split())
    (why,) = told["steps"][steps.split()[0]]
    assert name in why and ("missing" in why if not found else f"{found} is not" in why)


@pytest.mark.parametrize(
    ("lacking", "suffices"), [("torch", True), ("onnxruntime", False), ("pytest", False)]
)
def test_where_torch_is_missing_references_are_said_to_suffice(
    tmp_path, capsys, monkeypatch, lacking, suffices
):
    known = extras.installed
    gone = {lacking, "torch"} if lacking == "pytest" else {lacking}
    monkeypatch.setattr(extras, "installed", lambda one: "" if one in gone else known(one))
    assert main(["doctor", "--no-import", "--store", str(tmp_path / "store")]) == 2
    last = "nothing more is needed than a file of references: dinov3-parity check PORT --references"
    assert (last in capsys.readouterr().out) == suffices


def test_a_store_that_cannot_be_written_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    code, told = asked(tmp_path, capsys, "--no-import")
    assert code == 2 and not told["store"]["writable"]
    main(["doctor", "--no-import", "--store", str(tmp_path / "store")])
    assert "IT CANNOT BE WRITTEN" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["~no-such-user/store", "circle"])
def test_a_store_that_is_no_path_is_told(tmp_path, capsys, monkeypatch, name):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--no-import", "--store", name]) == 2
    shown = capsys.readouterr()
    assert "cannot be used: " in shown.err or "IT CANNOT BE WRITTEN" in shown.out


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A package that is installed, as pip has it, and ends in an error, or its process, on import."""

    def shadowed(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)

    return shadowed


def test_a_package_that_is_there_and_cannot_be_imported_stands_in_the_way(tmp_path, capsys, broken):
    broken("equimo", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    words = "ended its process by signal 11"
    code, told = asked(tmp_path, capsys)
    assert code == 2 and not told["stages"]["meta"] and not told["steps"]["report"]
    assert [words in why for why in told["stages"]["equimo"]] == [True]
    assert [words in why for why in told["steps"]["convert"]] == [True]


def test_what_a_package_raises_on_import_is_why_its_stage_cannot_be(broken):
    """Of that stage alone: the others' frameworks take seconds to import, as above."""
    broken("equimo", "raise ImportError('libcu.so.9 is not there')")
    (why,) = importing.failures(["equimo"]).values()
    assert why == "cannot be imported: ImportError: libcu.so.9 is not there"


def test_a_version_that_was_not_tried_is_told_as_such(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(doctor.KNOWN_GOOD, "jax", "0.0.1")
    main(["doctor", "--no-import", "--store", str(tmp_path / "store")])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("  jax "))
    assert line.endswith("(0.0.1; this one is untried: what it changes, a run tells)")


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_what_is_known_to_be_good_is_within_the_bounds_of_each_python(python):
    good = doctor.known_good(tuple(map(int, python.split("."))))
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = told["dependencies"], *told["optional-dependencies"].values()
    here = {"python_version": python, "extra": ""}
    wanted = [Requirement(line) for one in lists for line in one]
    asked = [one for one in wanted if one.marker is None or one.marker.evaluate(here)]
    bounds = {one.name: one.specifier for one in asked if one.name in good}
    assert bounds.keys() == good.keys()
    assert [name for name, one in bounds.items() if not one.contains(good[name])] == []


def test_what_an_installed_stage_needs_beside_ours_has_to_be_there(tmp_path, capsys):
    registry.register(Info("theirs", "meta", {"vit": "theirs.vit:Vit"}, needs=("no-such-thing",)))
    try:
        code, told = asked(tmp_path, capsys, "--no-import")
    finally:
        registry.forget("theirs")
    assert (code, told["stages"]["theirs"]) == (2, ["no-such-thing is missing"])


def test_every_package_that_a_step_needs_is_one_that_is_asked_for():
    wanted = doctor.packages()
    needed = {name for names in doctor.commands_need().values() for name in names}
    needed |= {name for names in doctor.stages_need().values() for name in names} | set(
        doctor._STORE
    )
    needed -= {"jaxlib"}  # it comes with jax
    assert needed <= wanted.keys()
