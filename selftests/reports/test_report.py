"""The pages say what the records say, stand alone, and show text as text."""

import base64
import gzip
import hashlib
import json
import re

import pytest
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.records.header import filled
from dinov3_parity.parity.records.measurement import CHAINED
from dinov3_parity.parity.records.reader import Run, joined
from dinov3_parity.parity.records.run_folder import costs as merged_costs
from dinov3_parity.parity.records.run_folder import missing
from dinov3_parity.reports import terminal
from dinov3_parity.reports.figures import costs, dataflow, digest, heatmap, thumbnails
from dinov3_parity.reports.pages import address, html
from dinov3_parity.reports.pages.site import Site
from msgspec.structs import replace

from selftests.support.pages import loads_nothing, runs_what_it_names
from selftests.support.records.measurements import clean, taken, with_faults

TOLD = {
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
SHORT = TOLD | {"contract": {"declared": 25, "compared": 23, "inputs": 1, "missing": [GAP]}}


def reported(tmp_path, told, found, lost=()) -> Site:
    return Site(joined([Run(tmp_path, filled(told)[0], list(found), list(lost))]))


@pytest.fixture
def page(tmp_path):
    """The overview of a run as text."""

    def make(told, found, lost=()):
        return reported(tmp_path, told, found, lost).write(tmp_path / "site").read_text()

    return make


def test_a_clean_run_holds(page):
    shown = page(TOLD, clean())
    assert "<h1>vits16: equimo holds</h1>" in shown
    assert "Where it first breaks" not in shown
    assert "synthetic (revealing, seed 0)" in shown


def test_a_departure_is_named_first(page):
    shown = page(TOLD, with_faults(**{"attn.k": 700.0, "output": 80.0}))
    assert "<h1>vits16: equimo departs from meta at block 0, attn.k</h1>" in shown
    first = shown[shown.index("Where it first breaks") : shown.index("<table")]
    assert "equimo departs from meta at block 0, attn.k (isolated): 700 times" in first
    assert "only q rotated" in shown  # a mistake of the catalogue that first shows there


def test_stages_of_a_fork_stand_in_the_order_of_their_tree(page):
    fork = {"right": "torch", "left onnx": "left", "torch": "", "left": "torch"}
    found = [replace(m, stage=s, parent=parent) for s, parent in fork.items() for m in clean()]
    pipeline = [{"name": "torch", "parent": ""}, {"name": "left", "parent": "torch"}]
    shown = page(TOLD | {"pipeline": pipeline}, found)
    order = ["torch", "left", "right", "left onnx"]
    assert re.findall(r"<b>([a-z ]+)</b><span>holds", shown) == order
    assert re.findall(r'<figure data-stage="([^"]+)"', shown) == order
    after = re.findall(r'<li class="derived"><a [^>]+><b>([a-z ]+)</b>', shown)
    assert after == ["left"]  # what stands beside what it does not derive from has no arrow
    packed = re.search(r'id="digest">"([^"]+)"', shown)[1]
    data = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert (data["stages"], data["references"]) == (order, ["torch"])


def test_pages_load_nothing(tmp_path, page):
    assert loads_nothing(page(TOLD, clean()))
    for other in (html.ENVIRONMENT, html.DEVIATIONS):
        assert loads_nothing((tmp_path / "site" / other).read_text())


def test_a_page_runs_the_scripts_that_were_written_into_it_and_no_other(page):
    shown = page(TOLD, clean())
    assert runs_what_it_names(shown) and len(re.findall("<script>", shown)) == 4


def test_names_with_markup_show_as_text(page):
    name = "<script>alert(1)</script>"
    shown = page(TOLD | {"command": name}, [replace(m, stage=name, runtime=name) for m in clean()])
    assert "<script>alert" not in shown and "&lt;script&gt;alert" in shown


def test_the_terminal_ends_with_what_was_compared(tmp_path):
    site = reported(tmp_path, SHORT, with_faults(**{"attn.k": 700.0}))
    told = terminal.Finished(tmp_path, site, tmp_path / "index.html").summary()
    assert told[1].startswith("vits16: equimo departs from meta at block 0, attn.k (isolated): 700")
    assert "compared 23 of 25 declared taps on 1 input, quick (seed 0), 1 failed" in told
    assert told[-1] == f"report: {tmp_path / 'index.html'}" and len(told) <= 11


def test_what_was_not_compared_is_told_however_many_tests_failed(tmp_path):
    tests = [{"test": f"t.py::{n}", "outcome": "failed", "words": "E  no"} for n in range(9)]
    site = reported(tmp_path, SHORT | {"tests": tests}, clean())
    told = terminal.Finished(tmp_path, site, tmp_path / "index.html").told()
    gap = "declared and not compared: 2 taps: test_blocks[x] on B1 2x2 seed=0"
    assert told[-2] == gap and len(told) == 6, told
    (gap,) = missing(SHORT)
    assert gap.startswith("declared and not compared: 2 taps: test_blocks[x]") and gap in told


def test_a_run_that_fell_short_does_not_hold(page):
    shown = page(SHORT, clean())
    assert "<h1>Incomplete" in shown and "2 taps: test_blocks[x] on B1 2x2" in shown


def test_a_failure_is_shown_with_its_picture(page):
    failure = {"test": "t.py::x", "input": "B1 2x2 seed=0", "words": "  cls 0.9\n  registers 70 1"}
    assert "<pre>  cls 0.9\n  registers 70 1</pre>" in page(TOLD | {"failures": [failure]}, clean())


def test_a_variants_costs_and_growth_are_told_by_block(page):
    found = [replace(m, mode=CHAINED) for m in with_faults(output=2.5)]
    figures = costs.of("vits16", TOLD, found)
    assert figures["parameters"] == 21_601_152
    assert figures["growth"]["equimo"]["0"]["ratio"] == 2.5
    assert costs.table(figures)["rows"][0][0] == "embed"
    shown = page(TOLD, found)
    assert "21.6 million parameters in 12 blocks" in shown
    assert "Peak resident memory 3.00 GiB" in shown and "reference 2.8" in shown


def test_an_output_that_has_the_embedding_grows_from_there():
    embedding = taken("tokens", 0.5, block=None, mode=CHAINED)
    found = [embedding, *(replace(m, mode=CHAINED) for m in with_faults(output=2.5))]
    figures = costs.of("vits16", TOLD, found)
    assert figures["growth"]["equimo"]["embed"]["ratio"] == 0.5
    assert [place for place, *_ in costs.table(figures)["rows"]][:2] == ["embed", "0"]


def test_costs_of_several_processes_are_summed_and_the_largest_peak_is_kept():
    notes = [
        {"costs": {"vits16": {"peak_resident_bytes": peak, "seconds": {"onnx": {"3": 1.5}}}}}
        for peak in (7, 9)
    ]
    assert merged_costs(notes) == {
        "vits16": {"peak_resident_bytes": 9, "seconds": {"onnx": {"3": 3.0}}}
    }


def test_the_digest_has_every_comparison_and_the_strongest_in_full():
    found = [*clean(), replace(taken("attn.k", 1234.5), seed=9), taken("cls", 0.5, block=None)]
    told = json.loads(gzip.decompress(base64.b64decode(digest.packed(digest.digest(found)))))
    assert sum(len(row["input"]) for row in told["rows"]) == len(found)
    (row,) = [row for row in told["rows"] if row["tap"] == "attn.k"]
    assert sorted(row["ratio"]) == [0.9, 1230.0] and row["failed"] == 1
    assert row["ratio"][row["worst"]["at"]] == 1230.0
    assert told["inputs"][row["input"][row["worst"]["at"]]]["name"] == "B1 2x2 seed=9"
    assert row["strength"] == pytest.approx(1234.5 / 4)


def test_what_cannot_be_compared_is_null_in_the_digest():
    (row,) = digest.digest([taken("attn.q", float("nan"), problem="absent: not shown")])["rows"]
    assert row["ratio"] == [None] and row["strength"] is None and row["worst"]["problem"]


@pytest.mark.parametrize(
    ("share", "colour"),
    [
        (0.0, "l0"), (0.19, "l0"), (0.21, "l1"), (0.99, "l4"), (1.0, "l4"), (1.01, "o0"), (3.0, "o0"),
        (3.1, "o1"), (31, "o2"), (1001, "o3"), (1.1e5, "o4"), (float("inf"), "o4"),
    ],
)  # fmt: skip
def test_colours_change_at_the_limit_and_by_powers_beyond(share, colour):
    assert heatmap.level(share) == colour


@pytest.mark.parametrize("of", VARIANTS.values(), ids=lambda v: v.name)
def test_every_tap_of_a_variant_stands_in_the_map_and_none_on_another(of):
    panels = dataflow.panels(of)
    for panel in panels:
        spots = [(n.x // dataflow.COLUMN, n.y // dataflow.LANE) for n in panel.nodes]
        assert len(set(spots)) == len(spots)
        assert all(n.x + dataflow.WIDTH <= panel.width for n in panel.nodes)
        assert all(n.y + dataflow.HEIGHT <= panel.height for n in panel.nodes)
    names = [n.name for panel in panels for n in panel.nodes]
    expected = [t.name for t in VIT.taps.values() if VIT.has(of, t.only)]
    assert sorted(names) == sorted([*expected, "residual1"])  # where a block's halves meet


def test_a_pictured_input_is_the_same_each_time():
    drawn = clean()[0].input
    first, again = (thumbnails.thumbnails([(drawn, 0)]) for _ in range(2))
    assert first == again and list(first) == [f"{drawn} #0"]
    assert next(iter(first.values())).startswith("data:image/webp;base64,")


@pytest.mark.parametrize("stage", ["onnx", "a/b", "50%", "a#b&c=d+e", "ü 有", '"><b>'])
def test_a_link_to_a_tap_survives_any_name(stage):
    from urllib.parse import parse_qs, unquote

    link = address.link("vits16", stage, "isolated", 3, "attn.k")
    (words,) = parse_qs(link[1:])["tap"]
    assert [unquote(word) for word in words.split("/")] == [
        "vits16",
        stage,
        "isolated",
        "3",
        "attn.k",
    ]


def test_charts_are_drawn_by_the_files_that_their_packages_have():
    told = (html.VENDORED / "README.md").read_text()
    for file in html.VENDORED.glob("*.js"):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in told
