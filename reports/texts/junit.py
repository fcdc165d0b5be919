"""A run's tests as JUnit XML, which continuous integration shows test by test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import Properties, Property

PAGE = "junit.xml"

#: What a testcase tells beside its name.
_TOLD = ("variant", "stage", "layer", "block", "tap", "ratio", "known")

_RESULTS = {"failed": Failure, "error": Error, "skipped": Skipped}

#: Characters that no XML 1.0 file may hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(folder: Path, run: dict[str, Any]) -> Path:
    """Write junit.xml of the tests that run.json tells: a testsuite a variant, and one of the tests
    that are about none; its path."""
    by_variant: dict[str, list[dict[str, Any]]] = {}
    for test in run["tests"]:
        by_variant.setdefault(_text(test["properties"].get("variant", "")), []).append(test)
    xml = JUnitXml("dinov3-parity")
    for variant, tests in by_variant.items():
        suite = TestSuite(variant or "dinov3-parity")
        suite.add_testcases(list(map(_case, tests)))
        xml.add_testsuite(suite)
    xml.update_statistics()
    path = folder / PAGE
    xml.write(str(path))
    return path


def _case(test: dict[str, Any]) -> TestCase:
    classname, name = _names(_text(test["test"]))
    case = TestCase(name, classname, test["seconds"])
    properties = Properties()
    for key in _TOLD:
        if test["properties"].get(key) is not None:
            properties.add_property(Property(key, _text(test["properties"][key])))
    if list(properties):
        case.append(properties)
    if kind := _RESULTS.get(test["outcome"]):
        words = _text(test["words"])
        result = kind(next((line for line in words.splitlines() if line.strip()), ""))
        result.text = words
        case.append(result)
    return case


def _names(nodeid: str) -> tuple[str, str]:
    """The class and name of a test, as pytest's own file has them: ``parity.test_blocks``,
    ``test_every_tap[vits16]``."""
    path, bracket, parameters = nodeid.partition("[")
    file, *inside = path.split("::")
    *classes, name = inside or [file]
    module = file.removesuffix(".py").replace("/", ".")
    return ".".join([module, *classes]), name + bracket + parameters


def _text(value: Any) -> str:
    """A value as XML can hold it; what it cannot is shown as U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", str(value))
