"""Runs of a matrix are merged, told in a sentence and shown on a page."""

from dataclasses import replace

import pytest
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.matrix.cell import (
    OK,
    Record,
)
from dinov3_parity.reports.pages import html, matrix

from selftests.support.cells import CELL, DRIFTED, run_of
from selftests.support.pages import loads_nothing


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (["1.18.1", "1.19.2", "1.20.0"], "1.18–1.20"),
        (["1.18.1", "1.20.0", "1.21.0"], "1.18, 1.20–1.21"),
        (["1.19.2"], "1.19"),
    ],
)
def test_versions_in_a_few_words(chosen, told):
    assert matrix.ranges(chosen, ["1.18.1", "1.19.2", "1.20.0", "1.21.0"]) == told


def test_the_sentence_says_where_a_file_is_safe_and_where_it_first_departs(tmp_path):
    fine = [
        Record(replace(CELL, version=v), OK, 1.0, 4.0, "cls", max_abs=1e-6)
        for v in ("1.21.1", "1.22.0")
    ]
    found = matrix.merged([run_of(tmp_path / "a", [*fine, DRIFTED])])
    (line,) = matrix.safe(found)
    assert line.startswith("opset 21: safe on 1.21–1.22; first departure: opset21-static-all-1")
    assert "onnxruntime 1.23.2: drift, 40 times the rounding floor at pooled" in line


def test_versions_without_a_record_are_absent(tmp_path):
    found = matrix.merged([run_of(tmp_path / "a", [DRIFTED])])
    assert "1.23" not in matrix.absent(found) and "1.24" in matrix.absent(found)
    rows = dict(matrix.grid(found)["rows"])
    assert {box["verdict"] for box in rows["1.24"]} == {"absent"}
    assert list(rows) == sorted(rows, key=lambda v: [int(part) for part in v.split(".")])


def test_the_page_shows_names_as_text_and_fetches_nothing(tmp_path):
    found = matrix.merged([run_of(tmp_path / "a", [DRIFTED])])
    page = matrix.render(found, (html.MATRIX,))
    assert "vits16 &lt;b&gt;" in page and "vits16 <b>" not in page
    assert loads_nothing(page)


def test_a_box_that_drifts_names_the_first_place_that_departs(tmp_path):
    drifted = replace(DRIFTED, first="block 3, output (41, B1 14x14 seed=2)")
    page = matrix.render(matrix.merged([run_of(tmp_path / "a", [drifted])]), (html.MATRIX,))
    box = page[page.index("✗</span>") :]
    assert "<small>block 3, output</small>" in box[: box.index("</td>")]


def test_runs_of_different_bundles_do_not_merge(tmp_path):
    folders = [run_of(tmp_path / name, [DRIFTED], bundle=name * 64) for name in "ab"]
    with pytest.raises(ParityError, match="different bundles"):
        matrix.merged(folders)


def test_a_folder_without_records(tmp_path):
    with pytest.raises(ParityError, match=r"There is no cells\.jsonl"):
        matrix.merged([tmp_path])
