"""On GitHub Actions: annotations beside a pull request's checks, and the summary of the step."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dinov3_parity.reports.verdicts import DEPARTS, Verdict

#: GitHub shows ten of a kind for each step.
MOST = 10


def annotations(verdict: Verdict) -> list[str]:
    """Workflow commands: an error for each edge that departs of its own and each further reason."""
    told = [
        (
            f"{edge.variant}: {edge.stage} departs at {edge.divergence.worst.where}",
            f"{edge.divergence} Reproduce: {edge.divergence.command}",
        )
        for edge in verdict.edges
        if edge.verdict == DEPARTS and edge.divergence
    ]
    told += [("DINOv3 parity", reason) for reason in verdict.reasons]
    return [f"::error title={_property(title)}::{_data(words)}" for title, words in told[:MOST]]


def refusal(error: str) -> str:
    """The workflow command of a run that could not be done."""
    return f"::error title={_property('DINOv3 parity could not run')}::{_data(error)}"


def on_github(environment: Mapping[str, str] = os.environ) -> bool:
    return environment.get("GITHUB_ACTIONS") == "true"


def step_summary(words: str, environment: Mapping[str, str] = os.environ) -> None:
    """Add Markdown to the step's summary, where there is one."""
    if file := environment.get("GITHUB_STEP_SUMMARY"):
        with Path(file).open("a", encoding="utf-8", errors="replace") as stream:
            stream.write(words)


def _data(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(words).replace(":", "%3A").replace(",", "%2C")
