"""A workflow's own commands, run here as GitHub Actions runs them: what a document says is what is run.

Of what the engine does so much is done as the workflow needs: ``run`` lines in bash with the words of
``${{ … }}`` put in, a step's outputs and summary by files, and what is ``always()`` after a failure.
Actions (``uses``) are other people's and are not run: what they would give is given by the caller.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_WORDS = re.compile(r"\$\{\{ *(.+?) *\}\}")


def read(text: str) -> dict[str, Any]:
    """A workflow as YAML 1.2 has it, where ``on`` is a word."""
    return YAML(typ="safe", pure=True).load(text)


@dataclass
class Job:
    """One job of a workflow, called with ``given``; ``environment`` is the machine's."""

    workflow: dict[str, Any]
    name: str
    given: dict[str, str]
    folder: Path
    environment: dict[str, str]
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    failed: list[tuple[str, int]] = field(default_factory=list)  # steps and their exit codes
    printed: str = ""
    summary: str = ""

    def run(self) -> Job:
        """Every step in its order. Raises AssertionError where what is given is not taken."""
        declared = self.workflow["on"]["workflow_call"]["inputs"]
        assert self.given.keys() <= declared.keys(), self.given.keys() - declared.keys()
        self.inputs = {name: one["default"] for name, one in declared.items()} | self.given
        job = self.workflow["jobs"][self.name]
        assert job["defaults"]["run"]["shell"] == "bash"
        for number, step in enumerate(job["steps"]):
            if "run" in step and (not self.failed or "always()" in str(step.get("if", ""))):
                self._step(step, str(number))
        return self

    def _step(self, step: dict[str, Any], number: str) -> None:
        files = {
            kind: self.folder.parent / f"{kind}{number}" for kind in ("OUTPUT", "STEP_SUMMARY")
        }
        for file in files.values():
            file.write_text("")
        known = {name: self.filled(value) for name, value in step.get("env", {}).items()}
        known |= {f"GITHUB_{kind}": str(file) for kind, file in files.items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", self.filled(step["run"])],
            cwd=self.folder, env=self.environment | {"GITHUB_ACTIONS": "true"} | known, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
        )  # fmt: skip
        self.printed += done.stdout
        self.summary += files["STEP_SUMMARY"].read_text()
        lines = files["OUTPUT"].read_text().splitlines()
        self.outputs[step.get("id", number)] = dict(line.split("=", 1) for line in lines)
        if done.returncode:
            self.failed.append((step["name"], done.returncode))

    def filled(self, words: str) -> str:
        """Text with what its ``${{ … }}`` stand for."""
        return _WORDS.sub(lambda found: self._value(found[1]), words)

    def _value(self, expression: str) -> str:
        scope, *parts = expression.split(".")
        if scope == "inputs":
            return self.inputs[parts[0]]
        assert scope == "steps" and parts[1] == "outputs", f"{expression} is not known here"
        return self.outputs[parts[0]][parts[2]]
