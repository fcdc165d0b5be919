"""The page says what the records say, stands alone, and shows text as text."""

import re
from dataclasses import replace

from parity.measurements import CHAINED
from reports import costs, html, terminal
from reports.run import costs as merged_costs
from reports.run import missing
from selftests.test_divergence import clean, with_faults

RUN = {
    "failures": [], "costs": {"vits16": {
        "peak_resident_bytes": 3 << 30, "seconds": {"reference": {"embed": 0.5, "0": 2.0, "head": 0.25}},
    }},
    "command": "pytest -k vits16", "started": "2026-01-01T00:00:00+00:00", "seconds": 1.0,
    "versions": {"torch": "2"}, "host": {"cores": 2}, "stages": {}, "artifacts": [],
    "checkpoints": {
        "vits16": {
            "kind": "synthetic", "description": "synthetic (revealing, seed 0)", "digest": "0" * 64
        },
    },
    "inputs": {"profile": "quick", "seed": 0},
    "contract": {"declared": 25, "compared": 25, "inputs": 1, "missing": []},
}  # fmt: skip
GAP = {"test": "t.py::test_blocks[x]", "input": "B1 2x2 seed=0", "declared": 25, "compared": 23}
SHORT = RUN | {"contract": {"declared": 25, "compared": 23, "inputs": 1, "missing": [GAP]}}


def test_a_clean_run_holds():
    page = html.render(RUN, clean())
    assert "every stage holds" in page
    assert "First divergence" not in page
    assert "synthetic (revealing, seed 0)" in page


def test_a_departure_is_named_first():
    page = html.render(RUN, with_faults(**{"attn.k": 700.0, "output": 80.0}))
    assert "a stage departs" in page
    assert "departs from meta at block 0, attn.k" in page
    assert page.index("First divergence") < page.index("<table")


def test_the_page_fetches_nothing():
    page = html.render(RUN, clean())
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert "@import" not in page and "url(" not in page


def test_names_with_markup_show_as_text():
    hostile = [replace(m, stage="<script>alert(1)</script>") for m in clean()]
    page = html.render(RUN, hostile)
    assert "<script" not in page and "&lt;script&gt;" in page


def test_the_terminal_ends_with_what_was_compared():
    lines = terminal.verdicts(with_faults(**{"attn.k": 700.0}))
    assert lines[0].startswith(
        "vits16: equimo departs from meta at block 0, attn.k (isolated): 700"
    )
    assert terminal.counts(SHORT, clean()) == (
        "compared 23 of 25 declared taps on 1 inputs, quick (seed 0), 0 failed"
    )
    (told,) = missing(SHORT)
    assert told.startswith("declared and not compared: 2 taps: test_blocks[x]")


def test_a_run_that_fell_short_does_not_hold():
    page = html.render(SHORT, clean())
    assert "every stage holds" not in page
    assert "not everything was compared" in page and "2 taps: test_blocks[x] on B1 2x2" in page


def test_a_failure_is_shown_with_its_picture():
    failure = {"test": "t.py::x", "input": "B1 2x2 seed=0", "words": "  cls 0.9\n  registers 70 1"}
    page = html.render(RUN | {"failures": [failure]}, clean())
    assert "<pre>  cls 0.9\n  registers 70 1</pre>" in page


def test_a_variants_costs_and_growth_are_told_by_block():
    found = with_faults(output=2.5)
    figures = costs.of("vits16", RUN, [replace(m, mode=CHAINED) for m in found])
    assert figures["parameters"] == 21_601_152
    assert figures["growth"]["equimo"]["0"]["ratio"] == 2.5
    assert costs.table(figures)["rows"][0][0] == "embed"
    page = html.render(RUN, [replace(m, mode=CHAINED) for m in found])
    assert "21.6 million parameters in 12 blocks" in page
    assert "Peak resident memory 3.00 GiB" in page and "reference 2.8" in page


def test_costs_of_several_processes_are_summed_and_the_largest_peak_is_kept():
    notes = [
        {"costs": {"vits16": {"peak_resident_bytes": peak, "seconds": {"onnx": {"3": 1.5}}}}}
        for peak in (7, 9)
    ]
    assert merged_costs(notes) == {
        "vits16": {"peak_resident_bytes": 9, "seconds": {"onnx": {"3": 3.0}}}
    }
