"""What anybody knows of a stage derives from its record: a stage known by that alone is everywhere."""

import json
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest
from dinov3_parity.fixtures import stages as folder
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.faults.injection import applies, injected
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.stages import registry
from dinov3_parity.fixtures.stages.info import Info
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.faults import Site, catalogue
from dinov3_parity.parity.inputs.drawn import Input

VITS16 = VARIANTS["vits16"]
TOY = ("-p", "selftests.support.stages.toy")
SECOND = ("-p", "selftests.support.stages.second_file")


@pytest.fixture
def toy():
    from selftests.support.stages.toy import INFO

    registry.register(INFO)
    yield INFO
    registry.forget(INFO.name)


def test_parents_come_before_their_children_and_a_fork_is_a_fork():
    known = {
        name: Info(name, parent, {}) for name, parent in
        [("onnx of b", "b"), ("b", "root"), ("onnx of a", "a"), ("a", "root"), ("root", "")]
    }  # fmt: skip
    assert list(registry.in_order(known)) == ["root", "a", "onnx of a", "b", "onnx of b"]


def test_a_stage_whose_parent_is_not_known_stands_at_the_root_and_not_nowhere():
    known = {name: Info(name, parent, {}) for name, parent in [("b", "lost"), ("a", "")]}
    known["of b"] = Info("of b", "b", {})
    assert list(registry.in_order(known)) == ["a", "b", "of b"]


def test_artifacts_are_made_of_a_parent_and_neither_of_the_checkpoint_nor_of_a_port():
    assert {name: one.has_artifacts for name, one in registry.stages().items()} == {
        "meta": False, "equimo": True, "mapped": True, "onnx": True,
    }  # fmt: skip
    assert not Info("mine", "meta", {}, port=True).has_artifacts


def test_a_stage_that_was_registered_is_forgotten():
    registry.register(Info("for now", "meta", {}))
    assert "for now" in registry.stages()
    registry.forget("for now")
    registry.forget("for now")  # once more is no error
    assert "for now" not in registry.stages()


def test_a_record_that_a_package_installs_is_a_stage(monkeypatch):
    point = EntryPoint("toy", "selftests.support.installed:INFO", registry.GROUP)
    monkeypatch.setattr(registry, "_KNOWN", {})
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [point] if group == registry.GROUP else []
    )
    record = SimpleNamespace(INFO=Info("installed", "equimo", {}))
    monkeypatch.setitem(sys.modules, "selftests.support.installed", record)
    assert list(registry.stages()) == ["meta", "equimo", "installed", "mapped", "onnx"]


def test_the_suites_own_stages_are_found_by_their_folders():
    folders = {path.parent.name for path in Path(folder.__path__[0]).glob("*/info.py")}
    assert set(registry.stages()) == folders >= {"meta", "equimo", "mapped", "onnx"}


def test_a_record_imports_no_framework(run_python):
    shown = run_python(
        "import sys\nfrom dinov3_parity.fixtures.stages.registry import stages\nstages()\n"
        "print(sorted({'torch', 'jax', 'equinox', 'onnx', 'onnxruntime', 'equimo'} & set(sys.modules)))"
    )
    assert shown.strip() == "[]"


def test_doctor_asks_for_what_it_needs(toy):
    from dinov3_parity.fixtures.cli.doctor import stages_need

    assert stages_need()["toy"] == ("torch", "scipy", "numpy")  # its parent's, too


def test_reports_tell_its_versions(toy):
    assert "scipy" in registry.distributions()


def test_the_called_table_has_its_column(toy):
    assert registry.called("vit")["tokens"]["toy"] == "toy_cat >"


def test_faults_are_made_in_it_where_its_record_lets_them(toy, store):
    faults = catalogue()
    sites = {fault.site for fault in faults.values() if applies(fault, VITS16, "toy")}
    assert sites == {Site.WEIGHTS, Site.IMAGES, Site.TOKENS, Site.HEAD}
    pipe = Pipeline(VITS16, Synthetic(VITS16), store)
    images = Input(1, (1, 2)).images()
    wrong = injected(faults["patch bias lost"], pipe, "toy").embed(images)["patch_embed"]
    right = pipe.stage("toy").embed(images)["patch_embed"]
    assert (wrong != right).any()


def test_it_is_selected_by_its_name_alone(run_pytest):
    shown = run_pytest(*TOY, "--collect-only", "-q", "-k", "vits16 and toy")
    tests = [line for line in shown.out.splitlines() if "::" in line]
    assert tests and all("vits16-toy" in line for line in tests), shown.out


def test_a_run_measures_it_and_the_report_hangs_it_below_its_parent(run_pytest, tmp_path):
    shown = run_pytest(*TOY, "-k", "vits16 and toy and (primitives or release)")
    assert shown.code == 0 and "vits16: toy holds" in shown.out, shown.out
    told = json.loads((tmp_path / "report" / "run.json").read_text())
    assert {"name": "toy", "parent": "meta", "packages": []} in told["pipeline"]
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "toy holds against meta" in page and "toy_cat &gt;" in page


@pytest.mark.thorough
def test_files_of_another_line_are_run_as_they_are_and_tapped(run_pytest, tmp_path):
    shown = run_pytest(*SECOND, "-k", "vits16 and second and (runtime or mapped_parameters)")
    assert shown.code == 0 and "vits16: second holds" in shown.out, shown.out
    lines = (tmp_path / "report" / "measurements.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert {(one["stage"], one["layer"]) for one in records} == {("second", "runtime")}
    assert {"block 11", "head"} <= {one["place"] for one in records}


def test_a_large_variants_whole_file_is_one_of_another_line_as_well(run_pytest):
    shown = run_pytest(
        *SECOND, "--collect-only", "-q", "--blocks", "all", "-k", "vitl16 and external"
    )
    tests = [line for line in shown.out.splitlines() if "::" in line]
    assert {line.partition("[")[2] for line in tests} == {"vitl16-onnx]", "vitl16-second]"}


def test_a_stage_without_a_module_of_faults_is_told_which_to_write(toy, store):
    pipe = Pipeline(VITS16, Synthetic(VITS16), store)
    inside = next(f for f in catalogue().values() if f.site is Site.VALUE and f.applies(VITS16))
    registry.register(replace(toy, lacks=()))
    with pytest.raises(ParityError, match=r"inside of toy: .*toy_faults"):
        injected(inside, pipe, "toy")
