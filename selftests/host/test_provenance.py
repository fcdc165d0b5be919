"""A result says by which state of the suite it was found."""

import os
import re
import subprocess
from importlib.metadata import version

import pytest
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.host import provenance


@pytest.fixture
def checkout(tmp_path):
    """A repository of one commit and one file."""

    def git(*words: str) -> str:
        named = {
            f"GIT_{who}_{what}": "a@b"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(
            ["git", "-C", tmp_path, *words], env=os.environ | named, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "one")
    git("tag", "v9", "-m", "a tag is not asked for")
    return tmp_path, git("rev-parse", "--short", "HEAD")


def test_a_checkout_is_known_by_its_commit_and_whether_it_was_changed(checkout, monkeypatch):
    folder, known = checkout
    assert provenance.commit(folder) == known
    (folder / "new").write_text("what git does not know is no change")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert provenance.commit(folder) == known
    (folder / "file").write_text("2")
    assert provenance.commit(folder) == f"{known}+changes"


def test_what_is_no_checkout_has_no_commit(checkout, tmp_path, monkeypatch):
    inside = tmp_path / "venv" / "site-packages"
    inside.mkdir(parents=True)
    assert provenance.commit(inside) == "", "the repository around it is another's"
    monkeypatch.setenv("PATH", str(inside))
    assert provenance.commit(tmp_path) == "", "no git"


def test_the_command_says_its_version(capsys, monkeypatch):
    monkeypatch.setattr(provenance, "commit", lambda: "42fa1cf+changes")
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    said = capsys.readouterr().out
    assert left.value.code == 0
    own = version("dinov3-parity")
    assert re.match(r"\d+\.\d+\.\d+", own)
    assert said == f"dinov3-parity {own} (42fa1cf+changes)\n"


def test_the_records_of_a_run_say_it(tmp_path):
    from dinov3_parity.parity.records import run_folder

    told = {"id": "0" * 12, "exit": "ok", "tests": [{"properties": {run_folder.LAYER: "blocks"}}]}
    assert run_folder.merge(tmp_path, told | {"versions": {provenance.NAME: provenance.told()}})
    written = (tmp_path / run_folder.RUN).read_text()
    assert f'"{provenance.NAME}": "{provenance.told()}"' in written


def test_a_run_hands_it_on(run_pytest, tmp_path):
    import json

    assert run_pytest("-q", "-k", "vits16 and checkpoint").code == 0
    told = json.loads((tmp_path / "report" / "run.json").read_text())
    assert told["versions"][provenance.NAME] == provenance.told()
