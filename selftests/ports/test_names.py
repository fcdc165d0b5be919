"""What a port is called, and how it is imported."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from dinov3_parity.fixtures.ports import ports
from dinov3_parity.fixtures.ports.command import CommandPort
from dinov3_parity.fixtures.ports.fitting import Takes
from dinov3_parity.fixtures.ports.ports import Port
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.layers import LAYERS

from selftests.support.stages.brought import PORT, given, in_a_paragraph, spoiled


def named(name, how="--stage port.py:Port", path=Path("port.py")):
    return Port(name, "meta", {"vit": "module:Port"}, port=True, given=how, path=path)


@pytest.mark.parametrize("name", ["meta", "equimo", "mapped", "onnx", "ONNX"])
def test_a_port_does_not_take_the_name_of_a_stage_of_the_suite(name):
    with pytest.raises(ParityError, match="as a stage of the suite itself is") as caught:
        ports.registered([named(name)], LAYERS)
    told = in_a_paragraph(caught.value)
    assert "--stage port.py:Port" in told and "another name" in told


@pytest.mark.parametrize(
    "name",
    [
        "my port",
        "2d",
        "",
        "tölpel",
        "a.b",
        "and",
        "OR",
        "not",
        "_x",
        "x\n",
        7,
        None,
        "vitl16",
        "blocks",
    ],
)
def test_a_name_that_the_command_line_cannot_say_is_refused(name):
    with pytest.raises(ParityError) as caught:
        ports.registered([named(name)], LAYERS)
    assert in_a_paragraph(caught.value).startswith("--stage port.py:Port is called ")


@pytest.mark.parametrize("name", ["mine", "My-Port_2", "metal", "notes"])
def test_other_names_are_free(name):
    assert list(ports.registered([named(name)], LAYERS)) == [name]


def test_two_ports_of_one_name_are_refused():
    with pytest.raises(ParityError) as caught:
        ports.registered(
            [named("mine"), named("Mine", "--stage other.py:Port", Path("other.py"))], LAYERS
        )
    told = in_a_paragraph(caught.value)
    assert "--stage port.py:Port" in told and "--stage other.py:Port" in told


def test_one_that_is_given_twice_is_one(tmp_path):
    words = spoiled(tmp_path, "word = 1")
    twice = [ports.from_words(words), ports.from_words(words)]
    assert list(ports.registered(twice, LAYERS)) == ["mine"]


def test_an_entry_point_is_named_as_what_it_is(monkeypatch):
    point = EntryPoint("onnx", "my_package.parity:MyPort", ports.GROUP)
    monkeypatch.setattr(ports, "entry_points", lambda group: [point])
    with pytest.raises(ParityError) as caught:
        ports.registered(ports.plugged(), LAYERS)
    told = in_a_paragraph(caught.value)
    assert "entry point onnx = my_package.parity:MyPort" in told and "Give its entry point" in told


def test_an_entry_point_that_cannot_be_imported_is_told_when_it_is_looked_at(monkeypatch):
    point = EntryPoint("mine", "no_such_package.parity:MyPort", ports.GROUP)
    monkeypatch.setattr(ports, "entry_points", lambda group: [point])
    (port,) = ports.registered(ports.plugged(), LAYERS).values()
    assert port.hidden() == {} and port.takes == Takes()
    with pytest.raises(ParityError, match="no_such_package") as caught:
        port.check()
    assert "entry point mine" in in_a_paragraph(caught.value)


@pytest.mark.parametrize("name", ["onnx", "my port"])
def test_a_bad_name_ends_a_run_before_it_begins(run_pytest, tmp_path, name):
    stage = spoiled(tmp_path, f"name = {name!r}")
    shown = run_pytest("--stage", stage, "-k", "vits16 and blocks")
    assert shown.code == pytest.ExitCode.USAGE_ERROR
    assert repr(name).strip("'") in shown.out and stage in shown.out
    assert "Traceback" not in shown.out and "Wrong expression" not in shown.out


# How a port is imported


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import no_such_module", ["no_such_module", "port.py:1", "PYTHONPATH"]),
        ("x = 1\nraise RuntimeError('no licence')", ["RuntimeError: no licence", "port.py:2"]),
        ("class Port:\n    def", ["SyntaxError", "port.py:2"]),
        ("from . import other", ["imports relatively", "port.py:1", "__init__.py"]),
        ("import sys\nsys.exit('usage: port')", ["SystemExit: usage: port", "port.py:2"]),
        ("x = 1", ["has no Port"]),
        ("Port = 3", ["is no class"]),
        (
            "class Port:\n    def embed(self, images): ...\n    head = 3",
            ["port.py:1", "no block, no head, no features, no describe", "Add them"],
        ),
        ("class Port:\n    absent = ['attn.q']", ["no embed, no block"]),
    ],
)
def test_what_stands_in_the_way_of_an_import_is_told_with_its_line(tmp_path, body, words):
    with pytest.raises(ParityError) as caught:
        ports.from_words(given(tmp_path, body))
    told = in_a_paragraph(caught.value)
    assert all(word in told for word in ["--stage", *words]), told


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("absent = ['attn.q']", "no dict of taps to reasons"),
        ("absent = {'attn.p': 'fused'}", "what is no tap: attn.p"),
        ("absent = {'output': 'fused'}", "declares output absent"),
        ("sizes = 224", "sizes = 224"),
        ("sizes = []", "sizes = []"),
        ("sizes = [(224,)]", "multiple of 16"),
        ("sizes = [(100, 224)]", "multiple of 16"),
        ("batches = [0]", "batches = [0]"),
        ("batches = [True]", "batches = [True]"),
        ("batches = 4", "positive integers"),
    ],
)
def test_a_declaration_that_says_nothing_is_told(tmp_path, lines, words):
    with pytest.raises(ParityError) as caught:
        ports.from_words(spoiled(tmp_path, lines))
    assert words in in_a_paragraph(caught.value)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in the working folder, which nothing but that makes importable."""
    monkeypatch.setattr("sys.path", [one for one in sys.path if one])
    monkeypatch.setattr("sys.modules", dict(sys.modules))
    given(tmp_path, "", "ported/__init__.py")
    given(tmp_path, PORT, "ported/dino.py")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("package")
def test_a_module_is_imported_from_the_working_folder_by_its_name():
    port = ports.from_words("ported.dino:Port")
    assert (port.name, port.stage().__module__) == ("mine", "ported.dino") and port.code


@pytest.mark.usefixtures("package")
def test_a_class_that_is_published_and_named_is_one():
    published = Port(
        "mine", "meta", {"vit": "ported.dino:Port"}, port=True, given="entry point mine"
    )
    for words in ("ported.dino:Port", "ported/dino.py:Port"):
        assert ports.registered([published, ports.from_words(words)], LAYERS) == {"mine": published}


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("ported.dina:Port", "No module named 'ported.dina'. Install what is missing"),
        ("ported.dino:Prot", "has no Prot"),
        ("ported.dino", "package.module:Name"),
        ("ported/dina.py:Port", "package.module:Name"),
        ("ported-dino:Port", "package.module:Name"),
    ],
)
def test_a_module_that_is_not_there_is_told_in_a_paragraph(words, told):
    with pytest.raises(ParityError) as caught:
        ports.from_words(words)
    said = in_a_paragraph(caught.value)
    assert said.startswith(f"--stage {words}: ") and told in said


def test_a_module_of_a_package_is_imported_as_part_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    given(tmp_path, "", "a_whole_port/__init__.py")
    given(tmp_path, "", "a_whole_port/inner/__init__.py")
    given(tmp_path, "WORD = 'found'", "a_whole_port/words.py")
    body = PORT.replace("class Port", "from ..words import WORD\n\nclass Port")
    port = ports.from_words(
        given(tmp_path, body + "    word = WORD\n", "a_whole_port/inner/port.py")
    )
    assert (port.module("vit"), port.stage().word) == ("a_whole_port.inner.port", "found")
    before = port.code
    given(tmp_path, "WORD = 'other'", "a_whole_port/words.py")
    del port.__dict__["code"]
    assert port.code != before


def test_a_package_of_a_name_that_is_taken_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    given(tmp_path, "", "dinov3_parity/__init__.py")
    with pytest.raises(ParityError, match="package dinov3_parity, and another of that") as caught:
        ports.from_words(given(tmp_path, PORT, "dinov3_parity/port.py"))
    in_a_paragraph(caught.value)


def test_two_files_of_one_name_are_two_modules(tmp_path):
    one = ports.from_words(given(tmp_path / "a", PORT + "    word = 1\n"))
    two = ports.from_words(given(tmp_path / "b", PORT + "    word = 2\n"))
    assert (one.stage().word, two.stage().word) == (1, 2)


def test_two_commands_are_two_ports_whatever_they_call_themselves():
    first, second = (
        CommandPort("mine", "meta", {"vit": "a command:Remote"}, port=True, given=one, command=one)
        for one in ("node a.mjs", "node b.mjs")
    )
    assert list(ports.registered([first, first], LAYERS)) == ["mine"]
    with pytest.raises(ParityError, match="as the stage of node a") as caught:
        ports.registered([first, second], LAYERS)
    assert "--stage-name" in in_a_paragraph(caught.value)
