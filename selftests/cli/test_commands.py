"""The command line: help that stands alone, answers for machines, and the guide's names."""

import contextlib
import json

import pytest
from dinov3_parity.fixtures.cli import COMMANDS
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.workflow import paths
from dinov3_parity.parity.families import VARIANTS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name, capsys):
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    said = capsys.readouterr().out
    assert left.value.code == 0 and len(" ".join(said.split())) > 150


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_returns_and_gives_an_example(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Exit code 0" in said and f"Example: dinov3-parity {name}" in said
    asked = (
        "check",
        "record",
        "fetch",
        "convert",
        "map",
        "export",
        "compare",
        "run",
        "store",
        "doctor",
        "calibrate",
    )
    assert ("--json" in said) == (name in asked)


def test_machines_are_told_what_the_store_holds(tmp_path, capsys):
    from dinov3_parity.fixtures.store.store import Store

    store = Store(tmp_path / "store")
    store.fetch("thing", "vits16", {"code": "1"}, lambda folder: (folder / "x").write_text("abc"))
    assert main(["store", "--store", str(store.root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["kind"] for one in told["artifacts"]] == ["thing"] and told["bytes"] == 3
    assert main(["store", "--store", str(store.root), "--clear", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["freed"] == told["bytes"]
    assert list(store.artifacts()) == []


def test_a_command_line_that_is_none_ends_in_2():
    for words in ([], ["fly"], ["export", "--opset", "new"]):
        with pytest.raises(SystemExit) as left, contextlib.redirect_stderr(None):
            main(words)
        assert left.value.code == 2


def test_machines_get_one_object_when_it_fails_too(tmp_path, capsys, store):
    words = ["map", "--weights", str(tmp_path / "none"), "--store", str(store.root), "--json"]
    assert main(words) == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out)["exit"] == 2 and "no file at" in json.loads(shown.out)["error"]
    assert "no file at" in shown.err


def test_the_guides_names_are_the_defaults():
    vits16 = VARIANTS["vits16"]
    assert str(paths.CACHE) == "~/.cache/equimo/dinov3"
    assert paths.archive(vits16).name == "dinov3_vits16_pretrain_lvd1689m.tar.lz4"
    assert paths.eqx(vits16).name == "eqx_dinov3_vits16_mapped.eqx"
    assert paths.onnx(vits16, "static").name == "eqx_dinov3_vit_S16.onnx"
    made = [path for v in VARIANTS.values() for path in (paths.eqx(v), paths.onnx(v, "size"))]
    assert len(set(made)) == 2 * len(VARIANTS), "two variants never share a file"


@pytest.mark.parametrize(
    "words",
    [["fetch", "x.pth", "--cache", "~nobody-of-that-name"],
     ["report", "~nobody-of-that-name"]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_home_that_nobody_has_is_told(words, tmp_path, capsys, monkeypatch, store):
    monkeypatch.setenv("DINOV3_PARITY_STORE", str(store.root))
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err.strip()
    assert ("\n" not in said and "home" in said) or "x.pth" in said
