"""An artifact's key changes with whatever it depends on, and with nothing else."""

import shutil
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.pipeline import generation
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.reference.recorded import reference_code
from dinov3_parity.fixtures.store import keys
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.drawn import Input

SMALL = replace(VARIANTS["vits16"], name="small", dim=128, heads=2, hidden=512, depth=1)
DRAWN = Input(1, (1, 2), seed=3)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the project's code, in which keys are computed."""
    for folder in keys._FOLDERS:
        shutil.copytree(
            keys.ROOT / folder, tmp_path / folder,
            ignore=lambda place, names: [n for n in names if n in ("out", "__pycache__")],
        )  # fmt: skip
    monkeypatch.setattr(keys, "ROOT", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget():
    keys.code.cache_clear()
    keys._tree.cache_clear()


def code_after(edited, before, after, module):
    """The key of a module's code after an edit of a file, which must be one."""
    text = edited.read_text()
    assert before in text
    edited.write_text(text.replace(before, after))
    forget()
    return keys.code(module)


def test_a_module_three_imports_away_is_part_of_the_key(checkout):
    """mapped imports weight_map, which imports errors; equimo's weights come by way of pytrees."""
    before = keys.code("dinov3_parity.fixtures.stages.mapped.vit")
    edited = checkout / "parity" / "errors.py"
    after = code_after(
        edited,
        "class ParityError(Exception):",
        "class ParityError(OSError):",
        "dinov3_parity.fixtures.stages.mapped.vit",
    )
    assert after != before


@pytest.mark.parametrize("file", ["vit.py", "base.py", "vit_taps.py"])
def test_the_reference_depends_on_the_tables_of_the_model(checkout, file):
    before = reference_code("vit")["code"]
    edited = checkout / "parity" / "families" / file
    edited.write_text(edited.read_text() + "x = 1\n")
    forget()
    assert reference_code("vit")["code"] != before


def test_the_reference_depends_on_metas_own_modules(checkout):
    """Its record names them; nothing that computes a recording imports them by name."""
    before = reference_code("vit")["code"]
    edited = checkout / "fixtures" / "stages" / "meta" / "modules.py"
    edited.write_text(edited.read_text() + "x = 1\n")
    forget()
    assert reference_code("vit")["code"] != before


def test_what_a_function_imports_is_part_of_the_key(checkout, store):
    """The mapped stage imports the model of every size when it is exported, for the file's maker."""
    edited = checkout / "fixtures" / "stages" / "mapped" / "any_size.py"
    assert edited in keys.closure("dinov3_parity.fixtures.stages.mapped.vit")
    pipe = Pipeline(SMALL, Synthetic(SMALL), store)
    before = pipe._recipe("onnx", "")
    edited.write_text(edited.read_text() + "x = 1\n")
    forget()
    assert pipe._recipe("onnx", "") != before


def another_stage(tmp_path, monkeypatch, line):
    """An installed package of a stage whose module imports another one by a line."""
    package = tmp_path / "another_stage"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "vit.py").write_text(f"import numpy\n{line}\n")
    (package / "parts.py").write_text("class Part: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    return package


def test_an_installed_stages_key_has_what_it_imports_of_its_own_package(tmp_path, monkeypatch):
    package = another_stage(tmp_path, monkeypatch, "from another_stage.parts import Part")
    assert package / "parts.py" in keys.closure("another_stage.vit")
    before = keys.code("another_stage.vit")
    assert (
        code_after(package / "parts.py", "class Part", "class Part(dict)", "another_stage.vit")
        != before
    )


@pytest.mark.parametrize(
    "line",
    [
        "import another_stage.parts",
        "import os, another_stage.parts as parts",
        "from another_stage import parts",
        "from another_stage.parts import Part",
        "from .parts import Part",
        "from . import parts",
    ],
)
def test_whichever_way_a_module_is_imported_it_is_part_of_the_key(tmp_path, monkeypatch, line):
    package = another_stage(tmp_path, monkeypatch, line)
    assert package / "parts.py" in keys.closure("another_stage.vit")


def test_the_packages_around_a_module_run_and_are_part_of_its_key(tmp_path, monkeypatch):
    """An import runs their ``__init__.py``, which may import more: of the suite and of a stage."""
    package = another_stage(tmp_path, monkeypatch, "")
    (package / "__init__.py").write_text("import another_stage.parts\n")
    forget()
    assert {package / "__init__.py", package / "parts.py"} < set(keys.closure("another_stage.vit"))
    own = keys.closure("dinov3_parity.parity.families.vit")
    assert keys.ROOT / "parity" / "families" / "__init__.py" in own


def test_two_modules_of_the_same_text_have_two_keys(tmp_path, monkeypatch):
    package = another_stage(tmp_path, monkeypatch, "")
    shutil.copy(package / "vit.py", package / "other.py")
    assert keys.code("another_stage.vit") != keys.code("another_stage.other")


def test_a_docstring_or_a_comment_remakes_nothing(checkout):
    before = keys.code("dinov3_parity.fixtures.stages.meta.vit")
    edited = checkout / "fixtures" / "stages" / "meta" / "modules.py"
    assert (
        code_after(
            edited,
            "w3(silu(w1 x) * (w2 x)).",
            "Another text.",
            "dinov3_parity.fixtures.stages.meta.vit",
        )
        == before
    )
    assert (
        code_after(
            edited,
            "class Mlp(",
            "# a comment\nclass Mlp(",
            "dinov3_parity.fixtures.stages.meta.vit",
        )
        == before
    )


def test_a_module_that_is_not_imported_remakes_nothing(checkout):
    before = keys.code("dinov3_parity.fixtures.stages.equimo.vit")
    edited = checkout / "reports" / "pages" / "html.py"
    edited.write_text("x = 1\n")
    forget()
    assert keys.code("dinov3_parity.fixtures.stages.equimo.vit") == before


def test_a_module_that_is_not_there_is_told():
    with pytest.raises(LookupError, match="nowhere"):
        keys.code("nowhere")


def test_the_store_hands_out_no_truth_of_another_variant(store):
    """The same name, the same numbers, another eps: another truth, and not the one in the store."""
    other = replace(SMALL, eps=1e-2)
    right, wrong = (Pipeline(v, Synthetic(v), store).recording(DRAWN) for v in (SMALL, other))
    assert right.folder != wrong.folder
    (block,) = VIT.repeated(SMALL)
    gap = np.abs(right.part(block)["norm1"].truth - wrong.part(block)["norm1"].truth).max()
    assert gap > 1e-3


def test_another_version_of_a_package_is_another_artifact(store, monkeypatch):
    pipe = Pipeline(SMALL, Synthetic(SMALL), store)
    before = {name: pipe._recipe(name, "") for name in ("equimo", "mapped", "onnx")}
    installed = keys.package_versions
    monkeypatch.setattr(
        keys, "package_versions", lambda *names: dict.fromkeys(names, "99") | installed()
    )
    for name, recipe in before.items():
        assert pipe._recipe(name, "") != recipe, name


@pytest.mark.parametrize("stage", ["equimo", "mapped", "onnx"])
def test_of_each_package_that_a_record_names_another_version_is_another_artifact(
    store, monkeypatch, stage
):
    """One by one, and none that the checkpoint depends on: its digest is in every key already."""
    pipe = Pipeline(SMALL, Synthetic(SMALL), store)
    before, installed = pipe._recipe(stage, ""), keys.package_versions
    for package in pipe.infos[stage].distributions:
        other = lambda *names, p=package: installed(*names) | ({p: "99"} if p in names else {})
        monkeypatch.setattr(keys, "package_versions", other)
        assert pipe._recipe(stage, "") != before, package
    monkeypatch.setattr(keys, "package_versions", installed)
    assert pipe._recipe(stage, "") == before


def test_a_variant_is_part_of_every_key(store):
    other = replace(SMALL, eps=1e-2)
    pipes = [Pipeline(v, Synthetic(SMALL), store) for v in (SMALL, other)]
    for name in ("equimo", "mapped", "onnx"):
        assert pipes[0]._recipe(name, "") != pipes[1]._recipe(name, ""), name


@pytest.mark.parametrize(
    "file",
    ["fixtures/stages/meta/modules.py", "fixtures/stages/onnx/flat.py",
     "fixtures/checkpoints/synthetic.py", "parity/families/vit.py"],
)  # fmt: skip
def test_a_store_is_kept_by_a_word_that_changes_with_what_makes_its_artifacts(checkout, file):
    before = generation.key()
    (checkout / "reports" / "terminal.py").write_text("x = 1\n")
    forget()
    assert generation.key() == before
    (checkout / file).write_text((checkout / file).read_text() + "x = 1\n")
    forget()
    assert generation.key() != before


@pytest.mark.parametrize("name", ["torch", "jax", "onnx"])
def test_another_version_of_a_package_or_none_is_another_word(name, monkeypatch):
    words, version = {generation.key()}, keys.version

    def missing(one):
        raise PackageNotFoundError(one)

    for other in (lambda one: "99", missing):
        monkeypatch.setattr(
            keys, "version", lambda one, other=other: (other if one == name else version)(one)
        )
        words.add(generation.key())
    assert len(words) == 3 and all(len(word) == 16 for word in words)


def test_asking_for_the_word_makes_no_store(tmp_path, capsys):
    from dinov3_parity.fixtures.cli.main import main

    assert main(["store", "--key", "--store", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == f"{generation.key()}\n" and not list(tmp_path.iterdir())
