"""``-k vits16`` selects vits16 and nothing else, for every name and inside expressions."""

import pytest

from fixtures import selection
from parity.layout import layout
from parity.variants import VARIANTS


def collected(run_pytest, expression: str) -> set[str]:
    shown = run_pytest("--collect-only", "-q", "-k", expression)
    return {line for line in shown.out.splitlines() if "::" in line}


@pytest.mark.parametrize("expression", [*VARIANTS, "VITS16", "vits16 and layout", "not vits16"])
def test_collection_by_name(run_pytest, expression):
    found = collected(run_pytest, expression)
    variants = {line.split("[")[1].split("-")[0].rstrip("]") for line in found}
    named = expression.lower().split()
    if named[0] == "not":
        assert variants == set(VARIANTS) - {"vits16"}
    else:
        assert variants == {named[0]}


def test_a_stage_in_the_expression(run_pytest):
    found = collected(run_pytest, "vits16 and onnx")
    assert found
    parameters = {line.split("[")[1].split("-")[1].rstrip("]") for line in found}
    assert parameters == {"onnx", "size", "batch", "static"}  # the last three: files it exports


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("vits16", "vits16_exactly"),
        ("vits16plus or vits16", "vits16plus_exactly or vits16_exactly"),
        ("(vitl16)and not vitl16_sat", "(vitl16_exactly)and not vitl16_sat_exactly"),
        ("test_vits16x", "test_vits16x"),
        ("", ""),
    ],
)
def test_words_that_are_names_are_made_exact(typed, read):
    once = selection.exact(typed, VARIANTS)
    assert once == read
    assert selection.exact(once, VARIANTS) == once, "workers read the expression a second time"


def test_no_keyword_is_part_of_another():
    keywords = [selection.keyword(name) for name in VARIANTS]
    assert not [(a, b) for a in keywords for b in keywords if a != b and a in b]


@pytest.mark.parametrize(
    ("name", "entries", "millions"),
    [
        ("vits16", 188, 21.61), ("vits16plus", 212, 28.71), ("vitb16", 188, 85.70),
        ("vitl16", 368, 303.23), ("vitl16plus", 416, 403.99), ("vith16plus", 552, 840.76),
        ("vit7b16", 610, 6716.04), ("vitl16_sat", 370, 303.23), ("vit7b16_sat", 610, 6716.04),
    ],
)  # fmt: skip
def test_sizes_of_the_releases(name, entries, millions):
    """Numbers stored in a release, masks and periods included."""
    import math

    found = layout(VARIANTS[name])
    assert len(found) == entries
    assert sum(map(math.prod, found.values())) / 1e6 == pytest.approx(millions, abs=0.01)


def test_of_a_large_variant_three_blocks_are_run_and_the_first_lines_say_so(run_pytest):
    shown = run_pytest("--collect-only", "-k", "vitl16")
    assert "blocks of vitl16: 0, 12, 23 of 24 (all with --blocks all)" in shown.out
    assert "test_external" not in shown.out


@pytest.mark.parametrize("words", [("--blocks", "all"), ("-m", "full")])
def test_every_block_of_a_large_variant_and_its_whole_file(run_pytest, words):
    shown = run_pytest("--collect-only", "-q", "-k", "vitl16", *words)
    assert "blocks of vitl16" not in shown.out
    assert "test_the_whole_model_in_one_file[vitl16-onnx]" in shown.out
    assert "test_every_block_alone_and_in_the_chain[vitl16-meta]" in shown.out


def test_what_denies_full_asks_for_no_more_blocks(run_pytest):
    shown = run_pytest("--collect-only", "-k", "vitl16", "-m", "not full")
    assert "blocks of vitl16: 0, 12, 23 of 24" in shown.out


def test_the_cells_of_the_matrix_are_not_collected_here(run_pytest):
    assert "parity/cells" not in run_pytest("--collect-only", "-q").out
