"""The command takes a link or a file, and says how to get one and what is wrong with one."""

import io
import json

from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.download.links import FORM

from selftests.support.server import BODY, NAME, secrets_in, status


def test_the_command_reads_the_link_from_standard_input(server, cache, monkeypatch, capfd):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{server.link}\n"))
    assert main(["fetch", "-", "--cache", str(cache)]) == 0
    shown = capfd.readouterr()
    assert f"{cache / NAME}: {len(BODY):,} bytes, sha256" in shown.out
    assert (cache / NAME).read_bytes() == BODY
    assert not secrets_in(shown.out, shown.err)


def test_machines_get_one_object_without_the_secret(server, cache, monkeypatch, capfd):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{server.link}\n"))
    assert main(["fetch", "-", "--cache", str(cache), "--json"]) == 0
    shown = capfd.readouterr()
    told = json.loads(shown.out)
    assert (told["path"], told["bytes"]) == (str(cache / NAME), len(BODY))
    assert not secrets_in(shown.out, shown.err)


def test_the_command_takes_a_file_that_is_at_hand(tmp_path, cache, capfd):
    (tmp_path / NAME).write_bytes(BODY)
    assert main(["fetch", str(tmp_path / NAME), "--variant", "vits16", "--cache", str(cache)]) == 0
    assert (cache / NAME).read_bytes() == (tmp_path / NAME).read_bytes() == BODY


def test_the_command_says_how_to_get_a_link_and_what_is_wrong_with_one(server, cache, capfd):
    assert main(["fetch"]) == 2
    said = capfd.readouterr().err
    assert FORM in said and all(len(line) < 100 for line in said.splitlines())
    assert said.splitlines()[-1].startswith("dinov3-parity: Name a file")
    server.script = [status(403)]
    assert main(["fetch", server.link, "--cache", str(cache)]) == 2
    said = capfd.readouterr().err
    assert "expired" in said and not secrets_in(said)
    assert main(["fetch", "x.pth", "--variant", "vitx"]) == 2
    assert "--variant vitx: known are vits16" in capfd.readouterr().err
