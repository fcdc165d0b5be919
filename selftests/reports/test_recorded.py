"""The bench of the report: folders of runs are what they claim, and the browser sees what is wrong."""

import asyncio
import json
import math
from base64 import b64encode
from collections import Counter
from hashlib import sha256

import pytest
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.matrix.cell import record
from dinov3_parity.parity.records import divergence, lines, reader
from dinov3_parity.parity.records.contract import declared, size
from dinov3_parity.parity.records.header import Header, filled
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, Measurement
from dinov3_parity.parity.taps import BLOCK, taps_of

from selftests.support import browser as bench
from selftests.support.records import recorded, recorded_matrix
from selftests.support.records.recorded import HOSTILE, Place

browser, opened = bench.browser, bench.opened

VITS16 = VARIANTS["vits16"]


def read(folder):
    run = json.loads((folder / "run.json").read_text())
    return run, lines.read(folder / "measurements.jsonl")[0]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return read(recorded.clean(tmp_path_factory.mktemp("runs") / "clean"))


def place(m):
    return Place(m.stage, m.mode, m.block, m.tap)


def strongest(found):
    """The strength of the strongest measurement at each place."""
    worst = {}
    for m in found:
        worst[place(m)] = max(m.strength, worst.get(place(m), 0))
    return worst


# Run folders


def test_a_clean_run_compared_what_a_real_one_compares(clean):
    run, found = clean
    assert len(found) == run["contract"]["declared"] == run["contract"]["compared"] == 6844
    assert run["contract"]["missing"] == run["failures"] == [] and run["exit"] == "ok"
    for stage in ("equimo", "mapped", "onnx"):
        shown = Counter((m.mode, m.block, m.tap) for m in found if m.stage == stage)
        for name in ("embedding", "blocks", "final norm", "chain"):
            for (mode, where), taps in declared(name, VITS16).items():
                block = where.index[0] if where.index else None
                assert all(shown[mode, block, tap] >= 6 for tap in taps)
    assert {m.layer for m in found} == {
        "reference", "primitives", "blocks", "backbone", "runtime", "release",
    }  # fmt: skip
    assert len({m.input for m in found}) == run["contract"]["inputs"] == 7


def test_a_clean_run_holds_by_figures_around_one(clean):
    _, found = clean
    assert divergence.first(found) is None and all(m.passed for m in found)
    for stage in ("equimo", "mapped", "onnx"):
        logs = [math.log(m.ratio) for m in found if m.ratio and m.stage == stage]
        assert abs(sum(logs) / len(logs)) < 0.2 and max(logs) > 0.2 > -0.2 > min(logs)


def test_figures_of_a_measurement_fit_together(clean):
    _, found = clean
    for m in found:
        shape = VIT.extent(VIT.taps[m.tap], VITS16, m.batch, m.grid)
        tokens = [shape[axis] for axis in VIT.taps[m.tap].token_axes]
        assert all(at < n for at, n in zip(m.max_abs_index, shape, strict=True))
        assert all(at < n for at, n in zip(m.token, tokens, strict=True))
        assert m.token_ratio >= m.ratio * (1 - 1e-12) and m.floor_alone <= m.floor
        error = m.ratio * m.floor
        if m.stage == "meta":
            assert m.max_abs == 0 and m.ratio <= 1
        else:
            assert m.max_abs >= error and m.rel_max * error == pytest.approx(
                m.max_abs * math.sqrt(1 / m.cosine**2 - 1), rel=0.1, abs=1e-13
            )


def test_a_floor_belongs_to_the_input_and_not_to_the_stage(clean):
    _, found = clean
    floors = {}
    for m in found:
        at = m.mode, m.block, m.tap, m.input
        assert floors.setdefault(at, (m.floor, m.floor_setter)) == (m.floor, m.floor_setter)


def test_the_strongest_of_a_place_has_its_breakdown_and_the_breakdown_agrees(clean):
    _, found = clean
    best = {}
    for m in found:
        at = m.layer, m.runtime, place(m)
        if at not in best or m.strength > best[at].strength:
            best[at] = m
    for m in best.values():
        assert max(m.breakdown["tokens"]) == pytest.approx(m.token_ratio, rel=0.006, abs=1e-9)
        assert (m.breakdown["image"] is None) == ("B" not in VIT.taps[m.tap].shape)
        for axis in m.breakdown["along"].values():
            assert len(axis["ratio"]) <= 128 and axis["worst"] < axis["size"]
            share = max(axis["ratio"]) ** 2 / axis["size"] / m.ratio**2 if m.ratio else 0
            assert axis["share"] == pytest.approx(share, rel=0.03)


def test_the_header_has_every_key_that_a_reader_relies_on_and_each_in_its_shape(clean):
    run, _ = clean
    assert filled(run) == (run, []) and set(Header.__struct_fields__) <= run.keys()


def test_the_same_seed_writes_the_same_and_another_writes_another(tmp_path):
    texts = [
        (recorded.clean(tmp_path / name, seed) / "measurements.jsonl").read_text()
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    assert texts[0] == texts[1] != texts[2]


def test_lines_have_the_fields_of_a_measurement_and_no_others(tmp_path):
    folder = recorded.huge(tmp_path, count=2_000)
    known = set(Measurement.__struct_fields__)
    seldom = {"breakdown", "ceiling", "known", "node", "like", "output", "relation"}
    for line in (folder / "measurements.jsonl").read_text().splitlines():
        assert known - seldom <= set(json.loads(line)) <= known


def test_wrong_keys_are_first_at_the_keys_of_the_first_block_of_equimo(tmp_path):
    run, found = read(recorded.faulty(tmp_path))
    first = divergence.first(found)
    assert (first.stage, first.parent, first.parallel) == ("equimo", "meta", ())
    assert (place(first.worst), first.failing) == (Place("equimo", ISOLATED, 0, "attn.k_proj"), 6)
    assert first.worst.ratio > 1e5 and [m.tap for m in first.clean] == ["norm1"]
    assert run["exit"] == "tests failed"
    told = next(one for one in run["failures"] if "test_blocks" in one["test"])
    assert told["words"].startswith("vits16: equimo departs from meta at block 0, attn.k_proj")
    assert "Ratio of each token, limit 4, on B1 1x1 seed=0" in told["words"]
    failed = {test["test"] for test in run["tests"] if test["outcome"] == "failed"}
    assert failed == {one["test"] for one in run["failures"]}


@pytest.mark.parametrize("stage", ["equimo", "mapped", "onnx"])
def test_wrong_keys_spoil_in_each_block_what_is_computed_from_them(tmp_path, stage):
    _, found = read(recorded.faulty(tmp_path))
    spoilt = {
        tap.name
        for tap in taps_of(BLOCK, VITS16)
        if tap.name == "attn.k_proj" or "attn.k_proj" in VIT.ancestors(tap.name)
    }
    own = [m for m in found if m.stage == stage]
    for block in range(VITS16.depth):
        here = [m for m in own if (m.mode, m.block) == (ISOLATED, block)]
        assert {m.tap for m in here if not m.passed} == spoilt
        assert all(m.passed for m in here if m.tap not in spoilt)
    grown = [m.ratio for m in own if (m.mode, m.tap, m.layer) == (CHAINED, "output", "backbone")]
    by_block = [sum(grown[k :: VITS16.depth]) for k in (0, 5, 11)]
    assert sorted(by_block) == by_block and by_block[0] > 1e5
    assert all(m.passed for m in found if m.stage == "meta")


def test_a_huge_run_has_two_hundred_thousand_measurements(tmp_path):
    folder = recorded.huge(tmp_path)
    with (folder / "measurements.jsonl").open() as stream:
        count = sum(1 for _ in stream)
    run = json.loads((folder / "run.json").read_text())
    assert count == run["contract"]["declared"] == run["contract"]["compared"] >= 200_000
    assert list(run["variants"]) == ["vits16", "vits16plus"] and run["contract"]["missing"] == []
    assert 190 <= run["contract"]["inputs"] <= 200


def test_an_empty_run_measured_nothing_of_what_it_declared(tmp_path):
    run, found = read(recorded.empty(tmp_path))
    assert found == [] and run["contract"]["compared"] == 0
    assert sum(gap["declared"] for gap in run["contract"]["missing"]) == 6844


def test_what_is_cut_off_is_missing_in_the_contract(tmp_path):
    run, found = read(recorded.cut_off(tmp_path))
    assert not (tmp_path / "measurements.jsonl").read_text().endswith("\n")
    contract = run["contract"]
    assert len(found) == contract["compared"] < contract["declared"] == 6844
    gaps = sum(gap["declared"] - gap["compared"] for gap in contract["missing"])
    assert gaps == contract["declared"] - contract["compared"]
    assert 0 < contract["missing"][0]["compared"] < contract["missing"][0]["declared"]


def test_a_killed_run_left_its_fragments_alone(tmp_path):
    recorded.killed(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["fragments"]
    run = reader.read(tmp_path)
    assert run.lost[0].startswith("The run did not end") and len(run.lost) == 2
    assert 1000 < len(run.found) < run.header["contract"]["declared"] == 6844


def test_a_worse_run_differs_where_it_says_and_nowhere_else(clean, tmp_path):
    run, found = read(recorded.worse(tmp_path))
    before, after = strongest(clean[1]), strongest(found)
    changed = {at for at in before.keys() & after.keys() if before[at] != after[at]}
    assert changed == {*recorded.WORSE, *recorded.BETTER}
    assert all(after[at] > 1.5 * before[at] for at in recorded.WORSE)
    assert all(after[at] < 0.6 * before[at] for at in recorded.BETTER)
    assert [after[at] > 1 for at in recorded.WORSE] == [True, False, False]
    new, gone = after.keys() - before.keys(), before.keys() - after.keys()
    assert {(at.stage, at.mode, at.tap) for at in new} == {("equimo", CHAINED, recorded.NEW)}
    assert {(at.stage, at.mode, at.tap) for at in gone} == {("mapped", ISOLATED, recorded.GONE)}
    assert recorded.GONE in run["stages"]["vits16 mapped"]["absent"]
    assert run["contract"]["missing"] == [] and len(run["failures"]) == 1


def test_every_name_of_a_hostile_run_is_one(tmp_path):
    run, found = read(recorded.hostile(tmp_path))
    names = set(HOSTILE.values())
    for name in ("stage", "runtime", "floor_setter"):
        assert {getattr(m, name) for m in found} == names
    for name in ("problem", "fault", "layer"):
        assert names < {getattr(m, name) for m in found}
    assert all(name in run["command"] for name in names)
    assert all(name in run["checkpoints"]["vits16"]["description"] for name in names)
    assert names <= set(run["versions"]) and len(run["failures"]) == len(names)


def test_a_matrix_has_every_verdict_that_a_cell_can_have(tmp_path):
    recorded_matrix.matrix(tmp_path)
    found = [
        record(json.loads(line))
        for file in tmp_path.rglob("cells.jsonl")
        for line in file.read_text().splitlines()
    ]
    assert {one.cell.version for one in found} == set(recorded_matrix.VERSIONS)
    assert {one.cell.opset for one in found} == set(recorded_matrix.OPSETS)
    told = {"ok", "drift", "unsupported", "crash", "low precision"}
    assert {one.verdict for one in found} == told
    assert all(one.ratio > one.limit for one in found if one.verdict == "drift")
    assert len({one.cell for one in found}) == len(found)


def test_declared_numbers_are_the_contracts_own(clean):
    run, _ = clean
    drawn, others = 6 * size(declared("reference", VITS16, "meta")), 0
    for name, count in (("embedding", 18), ("final norm", 18), ("blocks", 18), ("chain", 18)):
        others += count * size(declared(name, VITS16, "onnx"))
    others += 3 * size(declared("whole model", VITS16, "onnx"))
    others += 3 * size(declared("file", VITS16, "onnx"))
    others += 4 * size(declared("tapped copy", VITS16, "onnx"))
    others += size(declared("reference chain", VITS16, "meta"))
    assert run["contract"]["declared"] == drawn + others


# The browser


STYLE = "body { background: #fff; color: #222 } .pale { color: #ddd }"
HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'sha256-{hash}'">
<style>{style}</style></head><body><main><h1>A page</h1>{body}</main></body></html>"""


@pytest.fixture
def page(tmp_path):
    """Writes a page; its scripts run only without the strict policy."""

    def write(body, strict=False):
        text = PAGE.format(hash=HASH, style=STYLE, body=body)
        if not strict:
            text = text.replace("Content-Security-Policy", "x-none")
        file = tmp_path / "page.html"
        file.write_text(text)
        return file

    return write


def test_a_sound_page_passes(opened, page):
    sheet = opened(page("<p id=here>Sound.</p>"), hash="here", size=(390, 844))
    assert sheet.page.locator("p").inner_text() == "Sound."
    assert sheet.page.url.endswith("page.html#here")
    assert sheet.page.evaluate("() => innerWidth") == 390
    sheet.close()
    assert (sheet.errors, sheet.requests) == ([], []) and sheet.size == sheet.path.stat().st_size


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("console.error('told')", "error: told"),
        ("throw new Error('raised')", "error: raised"),
        ("setTimeout(() => Promise.reject(new Error('late')))", "error: late"),
    ],
)
def test_an_error_fails_the_page(opened, page, script, words):
    sheet = opened(page(f"<script>{script}</script>"))
    with pytest.raises(AssertionError, match=words):
        sheet.close()


def test_an_error_of_a_page_that_its_test_closed_is_told(opened, page):
    sheet = opened(page("<script>throw new Error('raised')</script>"))
    sheet.page.close()
    with pytest.raises(AssertionError, match="error: raised"):
        sheet.close()


def test_a_request_that_leaves_the_page_fails_it(opened, page):
    sheet = opened(page('<img alt="" src="http://127.0.0.1:9/x.png"><img alt="" src="data:,">'))
    with pytest.raises(AssertionError, match=r"request: http://127\.0\.0\.1:9/x\.png"):
        sheet.close()
    assert sheet.requests == ["http://127.0.0.1:9/x.png"]


def test_a_file_beside_the_page_may_be_visited_and_not_loaded(opened, page):
    file = page('<a href="other.html">the other</a>')
    (file.parent / "other.html").write_text("<title>other</title><p>there</p>")
    sheet = opened(file)
    sheet.page.locator("a").click()
    assert sheet.page.locator("p").inner_text() == "there" and sheet.requests == []
    sheet = opened(page('<iframe src="other.html" title="other"></iframe>'))
    with pytest.raises(AssertionError, match=r"request: file:.*other\.html"):
        sheet.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_sees_the_scheme_it_is_opened_in(opened, page, scheme):
    sheet = opened(page("<p>Text.</p>"), scheme=scheme)
    assert sheet.page.evaluate(f"() => matchMedia('(prefers-color-scheme: {scheme})').matches")


@pytest.mark.parametrize("javascript", [True, False])
def test_a_page_without_javascript_runs_no_script(opened, page, javascript):
    body = "<p>off</p><script>document.querySelector('p').textContent = 'on'</script>"
    sheet = opened(page(body), javascript=javascript)
    assert sheet.page.locator("p").inner_text() == ("on" if javascript else "off")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("<p>Good.</p>", set()),
        ('<p>Bad.</p><img src="data:,">', {"image-alt"}),
        ('<p class="pale">Bad.</p>', {"color-contrast"}),
    ],
)
def test_axe_finds_what_hinders_readers_under_a_strict_policy(opened, page, body, found):
    sheet = opened(page(body, strict=True))
    assert {one["id"] for one in bench.axe(sheet.page)} == found


def test_a_strict_policy_stops_inline_scripts(opened, page):
    sheet = opened(page("<script>window.ran = 1</script>", strict=True))
    assert sheet.page.evaluate("() => window.ran") is None
    with pytest.raises(AssertionError, match="Content Security Policy"):
        sheet.close()


def test_a_picture_and_the_time_to_the_first_paint(opened, page, tmp_path):
    sheet = opened(page('<p>Text.</p><div style="height: 3000px"></div>'), size=(400, 300))
    heights = []
    for full in (True, False):
        picture = bench.screenshot(sheet.page, tmp_path / "page.png", full=full).read_bytes()
        heights.append(int.from_bytes(picture[20:24], "big"))
    assert heights[0] > 3000 and heights[1] == 300
    paints = bench.paints(sheet.page)
    assert 0 < paints["first-paint"] <= paints["first-contentful-paint"] < 60_000


def test_other_tests_of_the_process_have_their_own_event_loop(browser):
    assert browser.chromium.is_connected()
    assert asyncio.run(asyncio.sleep(0, "ran")) == "ran"


@pytest.mark.parametrize(("ci", "outcome"), [("", "Skipped"), ("1", "Failed")])
def test_without_a_browser_tests_are_skipped_and_in_ci_they_fail(monkeypatch, ci, outcome):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CI", ci)
    with pytest.raises((pytest.skip.Exception, pytest.fail.Exception)) as ended:
        bench.found()
    assert ended.typename == outcome and "apt-get install chromium" in str(ended.value)
