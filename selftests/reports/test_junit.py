"""The JUnit XML says what run.json says of each test, whatever its name holds."""

import pytest
from dinov3_parity.reports.texts import junit
from junitparser import JUnitXml

HOSTILE = "<b>&\"']]>\x00\x1b[31m\ud800\ufffe é\U0001f600"


def told(test, outcome="passed", words="", **properties):
    return {
        "test": test, "outcome": outcome, "seconds": 0.25, "words": words,
        "properties": properties,
    }  # fmt: skip


def written(folder, *tests):
    """The suites of the file, by name, read back as a reader of such files does."""
    xml = JUnitXml.fromfile(str(junit.write(folder, {"tests": list(tests)})))
    return xml, {suite.name: suite for suite in xml}


def properties(case):
    return {one.get("name"): one.get("value") for one in case._elem.iter("property")}


BLOCKS = "parity/test_blocks.py::test_every_tap[vits16-onnx]"


def test_each_variant_is_a_suite_and_tests_of_none_have_their_own(tmp_path):
    xml, suites = written(
        tmp_path,
        told(BLOCKS, variant="vits16"),
        told("parity/test_blocks.py::test_every_tap[vitb16-onnx]", "failed", variant="vitb16"),
        told("selftests/store/test_store.py::test_it"),
        told(BLOCKS + "b", "skipped", variant="vits16"),
    )
    assert list(suites) == ["vits16", "vitb16", "dinov3-parity"]
    assert (suites["vits16"].tests, suites["vits16"].skipped) == (2, 1)
    assert dict(xml._elem.attrib) == {  # in the file, not counted by who reads it
        "name": "dinov3-parity", "tests": "4", "failures": "1", "errors": "0", "skipped": "1",
        "time": "1.0",
    }  # fmt: skip


def test_a_case_is_named_as_pytest_names_it(tmp_path):
    names = {
        BLOCKS: ("parity.test_blocks", "test_every_tap[vits16-onnx]"),
        "t.py::Class::test[a::b/c.py]": ("t.Class", "test[a::b/c.py]"),
        "t.py": ("t", "t.py"),
    }
    _, suites = written(tmp_path, *map(told, names))
    cases = list(suites["dinov3-parity"])
    assert [(case.classname, case.name) for case in cases] == list(names.values())
    assert {case.time for case in cases} == {0.25}


@pytest.mark.parametrize(
    ("outcome", "tag"), [("failed", "failure"), ("error", "error"), ("skipped", "skipped")]
)
def test_what_did_not_pass_says_why(tmp_path, outcome, tag):
    _, suites = written(tmp_path, told(BLOCKS, outcome, "\nvits16: it departs\n  cls 0.9\n"))
    ((result,),) = (case.result for case in suites["dinov3-parity"])
    assert result._tag == tag
    assert result.message == "vits16: it departs"
    assert result.text == "\nvits16: it departs\n  cls 0.9\n"


def test_a_test_that_passed_has_no_result(tmp_path):
    _, suites = written(tmp_path, told(BLOCKS))
    (case,) = suites["dinov3-parity"]
    assert case.is_passed


def test_a_case_tells_what_it_is_about_and_nothing_that_it_has_not(tmp_path):
    about = {"variant": "vits16", "stage": "onnx", "layer": "blocks", "block": 0, "tap": "norm1"}
    _, suites = written(
        tmp_path,
        told(BLOCKS, **about, ratio=1.5, limit=3.0),
        told(BLOCKS, **about, ratio=None),
    )
    first, second = suites["vits16"]
    assert properties(first) == {**about, "block": "0", "ratio": "1.5"}
    assert properties(second) == {**about, "block": "0"}


def test_what_xml_forbids_is_replaced_and_markup_is_text(tmp_path):
    safe = "<b>&\"']]>\ufffd\ufffd[31m\ufffd\ufffd é\U0001f600"
    test = told(f"t.py::{HOSTILE}", "failed", HOSTILE, variant=HOSTILE, tap=HOSTILE)
    _, suites = written(tmp_path, test)
    (case,) = suites[safe]
    assert case.name == safe
    assert [(r.message, r.text) for r in case.result] == [(safe, safe)]
    assert properties(case)["tap"] == safe


def test_a_run_without_tests_is_a_file_without_suites(tmp_path):
    xml, suites = written(tmp_path)
    assert suites == {} and xml.tests == 0
