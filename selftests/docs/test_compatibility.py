"""The table of versions says what runs recorded, and every upper bound has its reason in it."""

import json

import pytest
from dinov3_parity.parity.records.run_folder import RUN
from msgspec.structs import replace

from selftests import compatibility
from selftests.records.test_divergence import clean
from selftests.support.records.left import left


def test_the_page_is_what_its_rows_say():
    rows = json.loads(compatibility.ROWS.read_text("utf-8"))
    assert compatibility.PAGE.read_text("utf-8") == compatibility.page(rows)


def test_every_upper_bound_has_its_reason_and_no_reason_is_left_behind():
    assert compatibility.bounded().keys() == compatibility.WHY.keys()


def test_the_lower_bound_of_torch_is_a_version_that_was_seen():
    rows = json.loads(compatibility.ROWS.read_text("utf-8"))
    seen = {one["torch"].partition("+")[0] for one in rows if one["torch"]}
    (lowest,) = (part[2:] for part in compatibility.bounded()["torch"].split(",") if ">" in part)
    assert any(version == lowest or version.startswith(f"{lowest}.") for version in seen)


@pytest.fixture
def recorded(tmp_path):
    """Writes a run of some measurements, on a version of torch."""

    def written(name, found, torch):
        folder = left(tmp_path / name, found=found)
        told = json.loads((folder / RUN).read_text())
        told["versions"] |= {"torch": torch}
        told["host"] = {"python": "3.13.0"}
        told["contract"] = {"compared": len(found), "declared": len(found), "inputs": 1}
        (folder / RUN).write_text(json.dumps(told))
        return folder

    return written


def test_a_run_makes_a_row_and_a_later_one_of_the_same_versions_takes_its_place(recorded):
    rows = []
    for name, torch in (("a", "2.6.0"), ("b", "2.13.0"), ("c", "2.6.0")):
        rows = compatibility.added(rows, [compatibility.row(recorded(name, clean(), torch))])
    assert [one["torch"] for one in rows] == ["2.13.0", "2.6.0"]
    assert rows[0]["compared"] == len(clean()) and rows[0]["python"] == "3.13.0"


def test_a_run_that_departs_makes_no_row(recorded):
    one, *rest = clean()
    with pytest.raises(ValueError, match="something departed"):
        compatibility.row(recorded("a", [replace(one, passed=False), *rest], "2.6.0"))
