"""``dinov3-parity calibrate``: a table of how far the limits hold, for people and for programs."""

import json

import pytest
from dinov3_parity.fixtures.calibration.orders import ORDERS
from dinov3_parity.fixtures.cli.main import main

SMALL = ("calibrate", "--orders-only", "--examples", "1")


def test_the_table_says_where_it_was_measured_and_how_near_each_order_came(capsys, tmp_path, store):
    file = tmp_path / "calibration.json"
    assert main([*SMALL, "--json", "--out", str(file), "--store", str(store.root)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("exit") == 0 and told == json.loads(file.read_text())
    assert [row["name"] for row in told["orders"]] == [one.name for one in ORDERS]
    assert told["over"] == 0 and told["comparisons"] == sum(
        row["comparisons"] for row in told["taps"]
    )
    assert {"processor", "torch", "numpy", "torch kernels"} <= told["machine"].keys()
    largest = max(told["orders"], key=lambda row: row["share"])
    at = largest["at"]
    assert largest["share"] == pytest.approx(at["ratio"] / at["limit"], rel=0.01)


@pytest.mark.parametrize(
    "words",
    [("--variant", "vitl16"), ("--examples", "0"), ("--area", "0"), ("--variant", "vits32")],
    ids=" ".join,
)
def test_what_cannot_be_done_is_refused_in_words(capsys, words):
    assert main([*SMALL, *words]) == 2
    assert "dinov3-parity: " in capsys.readouterr().err
