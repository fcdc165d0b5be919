"""Commands called as a script calls them, and what lies in a folder."""

import json
from pathlib import Path

from dinov3_parity.fixtures.cli.main import main


def seen(folder):
    """Every file below a folder, with its content's identity."""
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in Path(folder).rglob("*")}


def answered(capsys, words):
    """The exit code and the one object that a command answers with on standard output."""
    capsys.readouterr()
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)
