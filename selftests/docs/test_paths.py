"""Every path and dotted name of this repository that stands in the documents' code exists.

What counts as one is told by its form, so that a misspelt one counts too:

- a path below a folder of the checkout (``selftests/stages``), or to a file of its kinds of source;
- a file's name alone (``info.py``): a file somewhere is called so;
- in a block that is no language's, a drawing of folders, each word that ends in a slash;
- ``file.py:Name``, and a dotted name that begins with a package's (``fixtures.stages.info.Info``).

``*`` stands for anything, and so does a word in capitals or in angle brackets: ``NAME`` in a recipe is
the reader's own, and one real example must be there. Left out are the files that a run writes
(``reports/out``), the reader's own (``path/to/…``), groups of entry points, and of the changelog what is
released: those are names of then.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from dinov3_parity.fixtures.ports import ports
from dinov3_parity.fixtures.stages import registry
from markdown_it import MarkdownIt

from selftests.support.documents import DOCUMENTS, ROOT

FOLDERS = (".ci", "docs", "fixtures", "parity", "reports", "selftests")
PACKAGES = ("dinov3_parity", "fixtures", "parity", "reports", "selftests")

#: Kinds of source: the reports and the pages have files of the other kinds.
_SOURCE = re.compile(r"\.(py|toml|ini|cff)$")

#: Below these nothing is of the repository.
_ELSEWHERE = ("reports/out", "path/to")

_ANY = re.compile(r"<[a-z-]+>|(?<![A-Za-z])[A-Z]{3,}(?![A-Za-z])")


def words(document: str) -> Iterator[tuple[str, bool]]:
    """Every word of a document's code, and whether it stands in a block of no language."""
    text = (ROOT / document).read_text("utf-8")
    if document == "CHANGELOG.md":
        text = re.split(r"^## (?!Unreleased)", text, flags=re.M)[0]
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        code = [one.content for one in token.children or () if one.type == "code_inline"]
        if token.type in ("fence", "code_block"):
            code.append(token.content)
        for found in code:
            for word in re.split(r"[\s\"'(),;=\[\]{}|]+", found):
                yield word.rstrip(".:"), token.type == "fence" and not token.info


def missing(word: str, drawn: bool = False) -> bool:
    """Whether a word names a path or an object of this repository, and nothing is there."""
    path, _, name = word.partition(":")
    if path.startswith(_ELSEWHERE) or word in (ports.GROUP, registry.GROUP):
        return False
    first, slash, _ = path.partition("/")
    path = path if (ROOT / path).exists() else _ANY.sub("*", path)
    if slash and (first in FOLDERS or _SOURCE.search(path)) and not (drawn and path[-1] == "/"):
        found = list(ROOT.glob(path.rstrip("/")))
    elif _SOURCE.search(path) or (drawn and re.fullmatch(r"[\w/]+/", path)):
        found = [file for file in files() if file.match(path)]
    elif re.fullmatch(rf"({'|'.join(PACKAGES)})(\.\w+)+", word):
        return not _defined(word.split("."))
    else:
        return False
    return not found or bool(name and not _ANY.fullmatch(name) and name not in _names(found[0]))


@cache
def files() -> tuple[Path, ...]:
    """Files and folders of the checkout, and not what runs or builds leave there."""
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    kept = [path for path in inside if not {"__pycache__", "out"} & set(path.parts)]
    return (*ROOT.glob("*.*"), *(ROOT / folder for folder in FOLDERS), *kept)


def _defined(parts: list[str]) -> bool:
    """Whether a dotted name leads to a module, or to what one defines or imports."""
    place = ROOT if parts[0] != "dinov3_parity" else ROOT / "fixtures/package/dinov3_parity"
    for i, part in enumerate(parts):
        if i == 1 and parts[0] == "dinov3_parity":
            place = ROOT
        folder, module = place / part, place / f"{part}.py"
        if module.is_file():
            return _has(module, parts[i + 1 :])
        if not folder.is_dir() and (i, part) != (0, "dinov3_parity"):
            return _has(place / "__init__.py", parts[i:])
        place = folder
    return True


def _has(module: Path, names: list[str]) -> bool:
    return not names or (module.is_file() and ".".join(names) in _names(module))


@cache
def _names(module: Path) -> frozenset[str]:
    """What a module defines or imports, and the members of its classes after a dot."""
    return frozenset(_bound(ast.parse(module.read_text("utf-8")).body))


def _bound(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    for one in body:
        if isinstance(one, ast.ClassDef | ast.FunctionDef):
            yield within + one.name
            if isinstance(one, ast.ClassDef):
                yield from _bound(one.body, f"{within}{one.name}.")
        elif isinstance(one, ast.Import | ast.ImportFrom):
            yield from (within + (alias.asname or alias.name) for alias in one.names)
        else:
            targets = getattr(one, "targets", [getattr(one, "target", None)])
            inner = (name for target in filter(None, targets) for name in ast.walk(target))
            yield from (within + name.id for name in inner if isinstance(name, ast.Name))


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md"])
def test_what_a_document_names_of_this_repository_is_there(document):
    assert {word for word, drawn in words(document) if missing(word, drawn)} == set()


@pytest.mark.parametrize(
    "word",
    [
        "parity/families/vit.py",
        "selftests/stages",
        ".ci/run",
        "fixtures/stages/*/taps.py",
        "fixtures/stages/NAME/info.py",
        "fixtures/stages/<name>/info.py",
        "info.py",
        "test_*.py",
        "README.md",
        "docs/examples/numpy_port.py:NumPyPort",
        "FILE.py:NAME",
        "path/to/module.py:MyPort",
        "reports/out/ort",
        "dinov3_parity.stages",
        "dinov3_parity.parity.families.VARIANTS",
        "dinov3_parity.parity.taps.BLOCK",
        "fixtures.stages.info.Info.load",
        "selftests.same_measurements",
        "max/mean",
    ],
)
def test_what_is_there_or_is_none_of_ours_is_let_pass(word):
    assert not missing(word)


@pytest.mark.parametrize(
    "word",
    [
        "parity/families/vlt.py",
        "partiy/families/vit.py",
        "selftests/stage",
        ".ci/runs",
        "fixtures/stages/*/tapes.py",
        "fixtures/stages/NAME/record.py",
        "information.py",
        "tests_*.py",
        "docs/examples/numpy_port.py:NumpyPort",
        "dinov3_parity.stage",
        "dinov3_parity.parity.families.VARIANT",
        "dinov3_parity.parity.tap",
        "fixtures.stages.info.Info.open",
        "selftests.same_measurement",
    ],
)
def test_a_wrong_one_is_found(word):
    assert missing(word)


def test_a_folder_in_a_drawing_is_looked_for():
    assert missing("familys/", drawn=True) and not missing("families/", drawn=True)
    assert not missing("~/.cache/equimo/dinov3/") and not missing("my-weights/")
