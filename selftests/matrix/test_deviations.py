"""What is listed is explained, and what is listed in vain or got worse is told."""

from dataclasses import replace

import pytest
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.matrix import deviations
from dinov3_parity.parity.matrix.cell import (
    DRIFT,
    OK,
    Record,
)
from dinov3_parity.parity.matrix.deviations import Deviation
from packaging.specifiers import SpecifierSet

from selftests.support.cells import CELL, DRIFTED

LISTED = Deviation(
    "gelu by tanh", DRIFT, SpecifierSet(">=1.23,<1.24"), "why", "how", opsets=(21,), ceiling=50.0
)


def test_a_listed_defect_is_explained_and_an_unlisted_one_is_not():
    assert deviations.unlisted(DRIFTED, [LISTED]) == ""
    assert "40 times the rounding floor at pooled" in deviations.unlisted(DRIFTED, [])
    elsewhere = replace(LISTED, versions=SpecifierSet("<1.23"))
    assert "40 times" in deviations.unlisted(DRIFTED, [elsewhere])


def test_a_listed_defect_that_got_worse_fails():
    words = deviations.unlisted(replace(DRIFTED, ratio=51.0), [LISTED])
    assert "worse than the listed 'gelu by tanh'" in words


def test_a_listed_defect_that_no_longer_happens_fails():
    words = deviations.unlisted(Record(CELL, OK, 1.0, 4.0, "cls"), [LISTED])
    assert "'gelu by tanh' is listed and did not happen" in words


def test_an_entry_about_no_cell_is_named():
    other = replace(LISTED, name="other", opsets=(30,))
    assert deviations.unmatched([DRIFTED], [LISTED, other]) == ["other"]


@pytest.mark.parametrize(
    "text",
    [
        "[[deviation]]\nname = 'x'",
        "[[deviation]]\nname='x'\nverdict='drift'\nversions='>1'\nreason='r'\nevidence='e'",
        "[[deviation]]\nname='x'\nverdict='ok'\nversions='>1'\nreason='r'\nevidence='e'",
        "[[deviation]]\nname='x'\nverdict='crash'\nversions='new'\nreason='r'\nevidence='e'",
        "[[deviation]]\nname='x'\nverdict='crash'\nversions='>1'\nreason='r'\nevidence='e'\nopset=1",
        "not toml",
    ],
)
def test_a_policy_file_that_is_not_well_formed(tmp_path, text):
    (tmp_path / "d.toml").write_text(text)
    with pytest.raises(ParityError, match="cannot be used as a list of known departures"):
        deviations.load(tmp_path / "d.toml")


def test_the_policy_gives_reason_and_evidence_for_every_entry():
    for entry in deviations.load():
        assert entry.reason and entry.evidence
