"""verdict.json is of its published schema, and says what the pages say."""

import json

import pytest
from dinov3_parity.parity.records import schema
from dinov3_parity.parity.records.header import filled
from dinov3_parity.parity.records.reader import Run
from dinov3_parity.reports.pages.site import Site, gather
from dinov3_parity.reports.texts import verdict
from dinov3_parity.reports.texts.verdict import PAGE, not_run, told

from selftests.conftest import ROOT
from selftests.support.records import recorded
from selftests.support.records.json_schema import wrong
from selftests.support.records.left import HOSTILE
from selftests.support.records.measurements import clean, taken

SCHEMA = json.loads((ROOT / schema.FOLDER / PAGE).read_text("utf-8"))


def of(found, tmp_path, lost=(), **header):
    site = Site(Run(tmp_path, filled(header)[0], found, list(lost)))
    return told(site.run, site.verdict, site.cases)


@pytest.mark.parametrize(
    ("make", "word", "code"),
    [
        (recorded.clean, "holds", 0),
        (recorded.faulty, "departs", 1),
        (recorded.hostile, "departs", 1),
        (recorded.killed, "incomplete", 1),
    ],
)
def test_every_report_has_a_verdict_of_the_published_shape(tmp_path, make, word, code):
    folder = make(tmp_path / "run")
    gather([folder]).write(tmp_path / "report")
    written = json.loads((tmp_path / "report" / PAGE).read_text("utf-8"))
    assert wrong(written, SCHEMA) == []
    assert (written["verdict"], written["exit"]) == (word, code)
    assert (written["first_divergence"] is None) == (word != "departs")


def test_the_first_divergence_has_every_tap_over_its_limit_there(tmp_path):
    found = [
        taken(tap, ratio) for tap, ratio in (("norm1", 0.9), ("attn.k", 40.0), ("attn.logits", 9e3))
    ]
    one = of([*found, taken("ls1", 90.0, block=3)], tmp_path)
    first = one.first_divergence
    assert (first.stage, first.place, first.tap, first.ratio) == (
        "equimo",
        "block 0",
        "attn.k",
        40.0,
    )
    assert [(one.tap, one.ratio, one.failed) for one in first.departing] == [
        ("attn.k", 40.0, 1),
        ("attn.logits", 9e3, 1),
    ]
    assert first.suspects and one.repeat == first.repeat and '-k "vits16 and equimo' in one.repeat


#: A test in which the port itself failed.
OF_PORT = {
    "test": "t", "outcome": "failed", "words": "E  no licence",
    "properties": {"variant": "vits16", "stage": "equimo", "port": "failed"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "header", "code"),
    [
        (clean(), {}, 0),
        ([taken("attn.k", 40.0)], {"exit": "interrupted"}, 1),
        (clean(), {"exit": "interrupted"}, 2),
        (clean(), {"contract": {"missing": [{"test": "t", "declared": 3, "compared": 2}]}}, 1),
        ([], {}, 2),
        ([], {"tests": [{"test": "t", "outcome": "error", "words": "E  no licence"}]}, 2),
        (clean(), {"tests": [{"test": "t", "outcome": "error", "words": "E  no licence"}]}, 1),
        ([], {"tests": [OF_PORT]}, 1),
        (clean(), {"tests": [OF_PORT]}, 1),
    ],
)
def test_only_what_was_measured_departs(found, header, code, tmp_path):
    one = of(found, tmp_path, **header)
    assert one.exit == code and bool(one.error) == (code == 2), one
    if header.get("tests"):
        assert one.failed_tests[0].words == "E  no licence" and "no licence" in one.reasons[0]


def test_names_that_are_no_text_can_be_told(tmp_path):
    one = of([taken("attn.k", 40.0, stage=HOSTILE)], tmp_path, command=HOSTILE)
    assert wrong(json.loads(verdict.text(one)), SCHEMA) == []


def test_what_could_not_run_is_told_in_the_same_shape():
    told = json.loads(verdict.text(not_run("no such port", "pytest", "1.0")))
    assert wrong(told, SCHEMA) == [] and told["exit"] == 2 and told["error"] == "no such port"


@pytest.mark.parametrize(
    "change",
    [{"exit": 3}, {"edges": [{}]}, {"more": 1}, {"compared": "all"}, {"schema": "other"}],
    ids=str,
)
def test_a_verdict_of_another_shape_is_noticed(change):
    told = json.loads(verdict.text(not_run("no such port", "pytest", "1.0")))
    assert wrong(told | change, SCHEMA)
    del told["run"]
    assert wrong(told, SCHEMA) == ["$: 'run' is a required property"]
