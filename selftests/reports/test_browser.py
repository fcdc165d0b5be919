"""The report in a real browser: what a reader sees, clicks, types and follows.

Every page that is opened fails its test if it raises an error, writes one to the console, or asks for
anything beside itself (see ``selftests.browser``).
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from dinov3_parity.parity.records import lines
from dinov3_parity.parity.records.measurement import Measurement
from dinov3_parity.parity.records.run_folder import MEASUREMENTS
from dinov3_parity.reports.pages import html, site

from selftests.support.browser import axe, browser, opened, paints  # noqa: F401 (fixtures)
from selftests.support.records import recorded, recorded_matrix

#: One process makes the pages and has the browser.
pytestmark = pytest.mark.xdist_group("browser")

RUNS = ("clean", "faulty", "huge", "empty", "cut_off", "killed", "hostile", "worse", "known")
PAGES = [*((name, "light") for name in RUNS if name != "huge"), ("clean", "dark")]
HUGE = pytest.param("huge", "light", marks=pytest.mark.thorough)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Makes the report of a recorded run, once; ``made("faulty")`` is its folder."""
    root = tmp_path_factory.mktemp("sites")

    @cache
    def make(name: str) -> Path:
        folder = getattr(recorded_matrix if name == "matrix" else recorded, name)(root / name)
        before = [make("clean")] if name == "worse" else []
        site.gather([folder], before).write(folder)
        return folder

    return make


@pytest.fixture
def overview(opened, made):  # noqa: F811
    """Opens the overview of a recorded run and waits for its script."""

    def open_(name: str, **options):
        sheet = opened(made(name) / html.OVERVIEW, **options)
        sheet.page.locator("html[data-ready=yes]").wait_for(state="attached")
        return sheet

    return open_


@cache
def recorded_in(folder: Path) -> list[Measurement]:
    return lines.read(folder / MEASUREMENTS)[0]


def visible(page, selector: str) -> list[str]:
    """The text of what a selector finds and a reader sees."""
    return [one.inner_text() for one in page.locator(selector).all() if one.is_visible()]


@pytest.mark.parametrize(("name", "scheme"), [*PAGES, HUGE])
def test_every_run_makes_a_page_without_errors_that_everyone_can_read(overview, name, scheme):
    sheet = overview(name, scheme=scheme)
    assert axe(sheet.page) == []
    print(f"{name}, {scheme}: {sheet.size / 1e6:.1f} MB, {paints(sheet.page)}")


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.thorough)])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("matrix", html.MATRIX),
        ("matrix", html.DEVIATIONS),
        ("faulty", html.ENVIRONMENT),
        ("worse", html.COMPARISON),
    ],
)
def test_the_other_pages_too(opened, made, name, file, scheme):  # noqa: F811
    assert axe(opened(made(name) / file, scheme=scheme).page) == []


def test_the_page_of_a_tap_too(overview):
    sheet = overview("faulty", hash="tap=vits16/equimo/isolated/0/attn.k")
    assert axe(sheet.page) == []


@pytest.mark.parametrize(("name", "largest"), [("clean", 6e6), ("faulty", 6e6), ("huge", 25e6)])
def test_a_page_is_small_enough_to_send(made, name, largest):
    assert (made(name) / html.OVERVIEW).stat().st_size < largest


def test_names_with_markup_run_nothing(opened, made):  # noqa: F811
    for file in (html.OVERVIEW, html.ENVIRONMENT, html.DEVIATIONS):
        page = opened(made("hostile") / file).page
        page.wait_for_timeout(100)
        assert page.evaluate("() => window.hacked") is None
        assert page.locator("main img:not(.thumb), main b b, main script").count() == 0


def test_a_cell_leads_to_its_tap_and_back(overview, made):
    page = overview("faulty").page
    cell = page.locator("figure[data-stage=equimo][data-mode=isolated] tbody tr").nth(3)
    link = cell.locator("a[href$='attn.k']")
    shown = link.inner_text()
    link.click()
    assert (
        page.locator("#tap h2").inner_text().startswith("vits16, equimo: block 3, attn.k, isolated")
    )
    there = [
        m for m in recorded_in(made("faulty"))
        if (m.stage, m.mode, m.block, m.tap) == ("equimo", "isolated", 3, "attn.k")
    ]  # fmt: skip
    worst = max(there, key=lambda m: m.strength)
    told = page.locator("#tap").inner_text()
    assert str(worst.input) in told and f"{worst.cosine:.12f}" in told
    assert f"{len(there)} comparisons, {sum(not m.passed for m in there)} over" in told
    assert float(shown) == pytest.approx(worst.ratio, rel=0.5)  # one digit in the cell
    assert page.locator("#tap table").last.locator("tbody tr").count() == len(there)
    assert not page.locator("#overview").is_visible()
    page.go_back()
    assert page.locator("#overview").is_visible() and not page.locator("#tap").is_visible()


def test_a_link_opens_what_its_sender_saw(overview):
    first = overview("faulty").page
    first.locator("select[name=stage]").select_option("mapped")
    first.locator("input[name=q]").fill("attn.k_proj")
    address = first.evaluate("() => location.hash")
    second = overview("faulty", hash=address).page
    for selector in ("#shown", "#all tbody"):
        assert second.locator(selector).inner_text() == first.locator(selector).inner_text()
    assert second.locator("select[name=stage]").input_value() == "mapped"


def test_a_link_to_a_tap_opens_its_page(overview):
    page = overview("clean", hash="tap=vits16/onnx/chained/-/cls").page
    assert page.locator("#tap h2").inner_text().startswith("vits16, onnx: cls, chained")
    assert (
        page.locator("#tap .plot svg").count()
        and "The published gate" in page.locator("#tap").inner_text()
    )


def test_a_link_to_a_tap_that_is_not_there_says_so(overview):
    page = overview("clean", hash="tap=vits16/tflite/isolated/3/attn.k").page
    assert "Nothing was compared at vits16, tflite" in page.locator("#tap").inner_text()


def test_the_page_of_a_tap_shows_its_tokens_beside_the_image(overview):
    page = overview("faulty", hash="tap=vits16/equimo/isolated/0/attn.k_proj").page
    tiles = page.locator("#tap .tokens")
    assert tiles.first.locator("span").count() == 5  # cls and registers
    image = page.locator("#tap img.thumb")
    rows, columns = map(
        int, re.search(r"patches (\d+) × (\d+)", page.locator("#tap").inner_text()).groups()
    )
    assert tiles.nth(1).locator("span").count() == rows * columns
    assert image.evaluate("image => image.complete && image.naturalWidth > 0")
    assert page.locator("#tap figure.plot svg").count() >= 1  # along channels


@pytest.mark.parametrize(
    ("field", "value", "column"),
    [("stage", "onnx", 1), ("mode", "chained", 2), ("verdict", "departs", 5)],
)
def test_a_filter_leaves_only_what_it_names(overview, field, value, column):
    page = overview("faulty").page
    page.locator(f"select[name={field}]").select_option(value)
    shown = page.locator("#all tbody tr").all()
    assert shown and all(row.locator("td").nth(column).inner_text() == value for row in shown)
    assert f"{field}={value}" in page.evaluate("() => location.hash")
    if field in ("stage", "mode"):
        names = visible(page, "figure[data-stage] figcaption strong")
        assert names and all(value in name for name in names)


def test_text_is_looked_for_in_places_inputs_and_runtimes(overview):
    page = overview("clean").page
    page.locator("input[name=q]").fill("block 7, NORM2 equimo")
    rows = page.locator("#all tbody tr")
    assert rows.count() == 1 and "norm2" in rows.inner_text()
    bright = page.locator("table.heat td:not(.dimmed) a")
    assert [one.get_attribute("href") for one in bright.all() if one.is_visible()] == [
        "#tap=vits16/equimo/isolated/7/norm2"
    ]
    page.locator("#reset").click()
    assert page.evaluate("() => location.hash") == "" and page.locator(".dimmed").count() == 0


def test_what_is_known_is_told_apart(overview):
    page = overview("known").page
    assert "equimo, mapped, onnx at attn.k_proj, to 1e+07 times" in page.inner_text("#known")
    assert visible(page, ".edges .word") == ["holds", *["known"] * 3]
    assert page.locator("table.heat td.k").count() > 100 and not visible(page, ".card.departs")
    page.locator("#filters select[name=verdict]").select_option("known")
    assert set(visible(page, "#all tbody td:nth-child(6)")) == {"known"}


def test_the_map_follows_the_stage_that_is_chosen(overview):
    page = overview("faulty").page
    node = page.locator("[data-map] [data-tap='attn.k']")
    assert re.match("o[0-4]", node.get_attribute("class"))
    page.locator("select[name=stage]").select_option("meta")
    assert re.match("l[0-4]", node.get_attribute("class"))
    assert "of meta, isolated" in page.locator("[data-map-caption]").inner_text()


def test_the_script_colours_the_map_as_it_was_written(overview, opened, made):  # noqa: F811
    def colours(page):
        return {
            n.get_attribute("data-tap"): n.get_attribute("class")
            for n in page.locator(".map [data-tap]").all()
        }

    still = opened(made("faulty") / html.OVERVIEW, javascript=False).page
    assert colours(overview("faulty").page) == colours(still)


def test_a_table_sorts_by_the_column_that_is_clicked(overview):
    page = overview("clean").page
    header = page.locator("#all th", has_text="max |Δ|")
    header.locator("button").click()
    figures = [
        float(row.locator("td").nth(10).inner_text()) for row in page.locator("#all tbody tr").all()
    ]
    assert figures == sorted(figures, reverse=True)
    assert header.get_attribute("aria-sort") == "descending"
    header.locator("button").press("Enter")
    again = [
        float(row.locator("td").nth(10).inner_text()) for row in page.locator("#all tbody tr").all()
    ]
    assert again == sorted(again) and again != figures


def test_more_places_are_shown_when_asked_for(overview):
    page = overview("huge").page
    before = page.locator("#all tbody tr").count()
    page.locator("#more").click()
    assert page.locator("#all tbody tr").count() == before + 300


def test_the_keyboard_reaches_a_cell_and_its_figures(overview):
    page = overview("clean").page
    table = page.locator("figure[data-stage=onnx][data-mode=isolated] table.heat")
    table.locator("a[tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert "block 2, norm1" in page.locator("#tip").inner_text()
    page.keyboard.press("Enter")
    assert page.locator("#tap h2").inner_text().startswith("vits16, onnx: block 2, norm1, isolated")
    assert page.evaluate("() => document.activeElement.tagName") == "H2"


def test_the_tab_key_passes_a_heatmap_in_one_step(overview):
    page = overview("clean").page
    tables = page.locator("table.heat")
    for table in tables.all():
        assert table.locator("a[tabindex='0']").count() == 1


def test_pointing_at_a_cell_tells_all_its_figures(overview):
    page = overview("clean").page
    page.locator("figure[data-stage=mapped][data-mode=isolated] a[href$='/4/attn.probs']").hover()
    told = page.locator("#tip").inner_text()
    for words in (
        "mapped, block 4, attn.probs",
        "noise ratio",
        "of limit ",
        "floor",
        "cosine",
        "over its limit",
    ):
        assert words in told
    page.mouse.move(0, 0)
    assert not page.locator("#tip").is_visible()


def test_a_command_is_copied(overview):
    page = overview("faulty").page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator(".card.departs [data-copy^='pytest']")
    button.click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("() => navigator.clipboard.readText()") == button.get_attribute(
        "data-copy"
    )


def test_the_curves_are_drawn_for_each_input(overview, made):
    page = overview("clean").page
    figure = page.locator("[data-chart=growth]")
    figure.scroll_into_view_if_needed()
    figure.locator("svg path").first.wait_for()
    first = figure.locator(".plot").inner_html()
    options = figure.locator("select option").all_inner_texts()
    chained = [m for m in recorded_in(made("clean")) if m.mode == "chained" and m.tap == "output"]
    fed = {str(m.input) for m in chained if m.stage != "meta" and m.layer != "runtime"}
    assert set(options) == fed
    figure.locator("select").select_option(options[1])
    assert figure.locator(".plot").inner_html() != first


@pytest.mark.parametrize("axis", ["patches", "aspect", "scale", "batch"])
def test_the_scatter_shows_every_stage_on_every_input(overview, made, axis):
    page = overview("clean").page
    figure = page.locator("[data-chart=scatter]")
    figure.scroll_into_view_if_needed()
    figure.locator("select").select_option(axis)
    marks = figure.locator("g.dot path, g.dot circle")
    assert marks.count() == len({(m.stage, m.input) for m in recorded_in(made("clean"))})


def test_without_javascript_the_verdict_the_divergence_and_the_tables_are_there(opened, made):  # noqa: F811
    page = opened(made("faulty") / html.OVERVIEW, javascript=False).page
    assert "equimo departs from meta at block 0, attn.k_proj" in page.locator("h1").inner_text()
    card = page.locator(".card.departs").inner_text()
    for words in ("Where it first breaks", "Why we think so", "k bias not masked", "pytest -k"):
        assert words in card
    assert page.locator("table.heat").count() == 8 and page.locator("#all tbody tr").count() == 60
    assert not visible(page, "button") and not visible(page, ".filters")


def test_dark_colours_are_kept_for_the_next_page(overview):
    page = overview("clean").page
    before = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") != before
    for _ in range(40):  # what is stored goes from one of the browser's processes to the next
        page.reload()
        if (theme := page.evaluate("() => document.documentElement.dataset.theme")) == "dark":
            break
        page.wait_for_timeout(250)
    assert theme == "dark"


def test_on_paper_there_are_no_controls(overview):
    page = overview("faulty").page
    page.emulate_media(media="print")
    assert not visible(page, ".copy, .filters, .bar, #more")
    assert visible(page, "h1") and visible(page, "table.heat")


@pytest.mark.parametrize("name", ["faulty", "hostile"])
def test_a_narrow_window_scrolls_down_alone(overview, name):
    page = overview(name, size=(390, 844)).page
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


def test_what_is_lost_is_said_on_the_page(overview):
    told = overview("cut_off").page.locator("#verdict").inner_text()
    assert "The last line of measurements.jsonl was cut off" in told
    assert "incomplete" in told and "declared and not compared" in told.lower()


def test_an_empty_run_does_not_hold(overview):
    page = overview("empty").page
    assert "hold" not in page.locator("h1").inner_text()
    assert not page.locator("table.heat").count()


def test_the_matrix_says_where_a_file_first_drifts(opened, made):  # noqa: F811
    page = opened(made("matrix") / html.MATRIX).page
    drifted = page.locator("td", has_text="✗").first
    assert "block 3, output" in drifted.inner_text()
    assert "☠" in page.locator("table").first.inner_text()


def test_what_got_worse_is_named_first(opened, made):  # noqa: F811
    page = opened(made("worse") / html.COMPARISON).page
    worst = next(iter(recorded.WORSE))
    assert page.locator("h2", has_text="Newly departs").count() == 1
    assert f"block {worst.block}, {worst.tap}" in page.locator("table.sortable").first.inner_text()


def test_every_page_leads_to_every_other(opened, made):  # noqa: F811
    page = opened(made("worse") / html.OVERVIEW).page
    for words in ("Comparison", "Deviations", "Environment", "Overview"):
        page.get_by_role("navigation").get_by_text(words).click()
        assert page.locator("nav a[aria-current]").inner_text() == words


def test_the_digest_in_the_page_is_the_one_that_was_recorded(overview, made):
    """Every comparison is in the page: the whole run can be asked of it."""
    page = overview("clean").page
    page.locator("#more").click()
    count = json.loads(
        page.evaluate("() => JSON.stringify(document.getElementById('shown').textContent)")
    )
    places = {
        (m.stage, m.layer, m.runtime, m.mode, m.block, m.tap) for m in recorded_in(made("clean"))
    }
    assert count == f"{len(places):,} of {len(places):,} places, 0 over their limit"
