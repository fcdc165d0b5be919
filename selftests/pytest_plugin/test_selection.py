"""``-k vits16`` selects vits16 and nothing else, for every name and inside expressions."""

import re

import pytest
from dinov3_parity.fixtures.host import typed_expression
from dinov3_parity.fixtures.pytest_plugin import keyword
from dinov3_parity.fixtures.stages.registry import stages
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.layers import LAYERS

NAMES = (*VARIANTS, *stages(), *LAYERS)


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
    assert parameters == {"onnx"}
    assert any("test_runtime" in line for line in found)  # the files that it exports


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("vits16", ":vits16_exactly"),
        ("vits16plus or vits16", ":vits16plus_exactly or :vits16_exactly"),
        ("(vitl16)and not vitl16_sat", "(:vitl16_exactly)and not :vitl16_sat_exactly"),
        ("test_vits16x", "test_vits16x"),
        ("Mapped and blocks", ":mapped_exactly and :blocks_exactly"),
        ("mapped_parameters", "mapped_parameters"),
        ("", ""),
    ],
)
def test_words_that_are_names_are_made_exact(typed, read):
    once = keyword.exact(typed, NAMES)
    assert once == read
    assert keyword.exact(once, NAMES) == once, "workers read the expression a second time"
    assert keyword.mentioned(once, NAMES) == keyword.mentioned(typed, NAMES)
    assert keyword.words(once) == keyword.words(typed)


def test_the_words_of_an_expression_are_told_once_and_without_its_operators():
    typed = "not (VitS16 and blocks) or not vits16 and test_a[x-1]"
    assert keyword.words(typed) == ["vits16", "blocks", "test_a[x-1]"]


def test_no_keyword_is_part_of_another():
    ports = ["metal", "my-onnx", "unmapped", "onnx_2"]
    keywords = [keyword.keyword(name) for name in (*NAMES, *ports)]
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

    found = VIT.layout(VARIANTS[name])
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
    assert "parity/matrix" not in run_pytest("--collect-only", "-q").out


def about(lines):
    return {line.split("::")[0].removeprefix("parity/test_").removesuffix(".py") for line in lines}


@pytest.mark.parametrize("layer", ["blocks", "runtime", "release", "reference"])
def test_a_layer_in_the_expression_is_that_layer(run_pytest, layer):
    assert about(collected(run_pytest, f"vits16 and {layer}")) == {layer}


def test_what_explains_comes_before_what_it_explains(run_pytest):
    """A stage after the one it is made from, a layer after those below it: also of files and levels,
    which pytest would put together by their fixtures."""
    shown = run_pytest("--collect-only", "-q", "-k", "vits16")
    tests = [line for line in shown.out.splitlines() if line.startswith("parity/test_")]
    order, found = list(stages()), []
    for line in tests:
        layer = line.split("::")[0].removeprefix("parity/test_").removesuffix(".py")
        words = line.partition("[")[2].rstrip("]").split("-")[1:]
        named = [word for word in words if word in order]
        stage = "meta" if layer == "reference" else named[0] if named else "onnx" if words else ""
        found.append((order.index(stage) if stage else -1, list(LAYERS).index(layer)))
    assert found == sorted(found) and {stage for stage, _ in found} == {-1, 0, 1, 2, 3}


def test_a_variant_is_done_with_before_the_next_begins(run_pytest):
    shown = run_pytest("--collect-only", "-q", "-k", "vits16 or vits16plus or vitb16")
    tests = [line for line in shown.out.splitlines() if line.startswith("parity/test_")]
    order = [
        list(VARIANTS).index(line.partition("[")[2].rstrip("]").split("-")[0]) for line in tests
    ]
    assert order == sorted(order) and len(set(order)) == 3


@pytest.mark.parametrize("stage", ["mapped", "MAPPED"])
def test_a_stage_is_not_a_part_of_a_tests_name(run_pytest, stage):
    found = collected(run_pytest, f"vits16 and {stage}")
    assert found and all("[vits16-mapped" in line for line in found)
    parts = collected(run_pytest, "vits16 and mapped_parameters")
    assert len(parts) == 1 and "[vits16-onnx]" in parts.pop()


def test_of_the_suites_own_tests_a_stage_and_a_layer_are_words_like_others(run_pytest):
    shown = run_pytest(
        "selftests/stages/test_stages.py", "--collect-only", "-q", "-k", "onnx or streamed"
    )
    assert shown.out.count("test_onnx_accepts_the_export") == 3


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("vits16 and onx", "nothing is called 'onx', perhaps onnx?"),
        ("vitz16", "nothing is called 'vitz16', perhaps vits16"),
        ("vits16 or vitl61", "nothing is called 'vitl61', perhaps vitl16"),
        ("vits16 and tflite", "nothing is called 'tflite'."),
        ("vits16 and streamed", "no test is about all of that"),
        ("not vits16x and equimo", "nothing is called 'vits16x', perhaps vits16"),
        ("vits16 or vitamin", "nothing is called 'vitamin'."),  # begins as every variant does
    ],
)
def test_a_word_that_is_a_slip_is_told_with_what_there_is(run_pytest, expression, words):
    shown = run_pytest("-k", expression)
    assert shown.code == pytest.ExitCode.USAGE_ERROR, shown.out
    assert words in shown.out and "Traceback" not in shown.out
    (line,) = (line for line in shown.out.splitlines() if line.startswith("ERROR: "))
    assert all(name in line for name in NAMES) and "--stage FILE.py:NAME" in line


@pytest.mark.parametrize("expression", ["vits16 and onx", "(vits16 and layout) or onx"])
def test_a_slip_is_told_where_other_processes_collect(run_pytest, expression):
    """On standard error, as without them."""
    shown = run_pytest("-k", expression, "-n", "1", apart=True)
    assert shown.code == pytest.ExitCode.USAGE_ERROR, shown.out
    assert "ERROR: -k selects no such test: nothing is called 'onx', perhaps onnx?" in shown.err
    assert "perhaps onnx?" not in shown.out


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("", True), ("vits16", True), ("not not a", True), ("a and not (b or c)", True),
        ("(vitl16)and not test_a[x-1]", True), ("((a))", True), ("((", False), ("()", False),
        ("a or", False), ("not", False), ("a b", False), ("a (b)", False), ("(a) (b)", False),
        ("a) or (b", False), ("a and and b", False), ("a & b", False), ("a AND b", False),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_told_as_it_was_typed(typed, right):
    if right:
        return typed_expression.check(typed)
    with pytest.raises(
        ParityError, match=r"is no expression\. Write names with and, or and not"
    ) as told:
        typed_expression.check(typed)
    assert str(told.value).startswith(f"-k {typed!r} ")


def test_words_of_a_tests_name_stay_words(run_pytest):
    assert len(collected(run_pytest, "vits16 and layout")) == 1
    assert len(collected(run_pytest, "vits16 and not quantized and layout")) == 1


def test_what_is_counted_is_what_can_run(run_pytest):
    """A layer that runs on no variant that is collected makes no test of none."""
    shown = run_pytest("--collect-only", "-q", "-k", "vits16")
    selected, everything, left = map(
        int, re.search(r"(\d+)/(\d+) tests collected \((\d+) deselected", shown.out).groups()
    )
    assert selected == sum("::" in line for line in shown.out.splitlines())
    assert everything == selected + left and "NOTSET" not in shown.out


def test_marks_that_leave_nothing_are_no_slip(run_pytest):
    shown = run_pytest("-k", "vits16 and onnx", "-m", "contract and not contract")
    assert "selects no such test" not in shown.out and " deselected" in shown.out, shown.out
    assert shown.code == pytest.ExitCode.NO_TESTS_COLLECTED


def test_whose_tests_run_stands_above_their_files(run_pytest):
    """pytest names files, which are the same ones of every stage."""
    shown = run_pytest("-k", "vits16 and primitives and (mapped or onnx)").out
    lines = [line.split("..")[0].strip() for line in shown.splitlines()]
    first = lines.index("vits16 mapped")
    file = "parity/test_primitives.py"
    assert lines[first : first + 4] == ["vits16 mapped", file, "vits16 onnx", file]
    for words in (["-q"], ["-v"], ["-n", "2"]):
        shown = run_pytest("-k", "vits16 and primitives and onnx", *words).out
        assert "vits16 onnx" not in shown.splitlines(), words
