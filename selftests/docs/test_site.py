"""The site of the documents: it is built without a warning, whole, and keeps to itself."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt

from selftests.support.documents import DOCUMENTS, ROOT

#: What a browser loads by itself: an element's attributes that name it.
_LOADED = {
    "audio": ("src",), "embed": ("src",), "iframe": ("src",), "img": ("src", "srcset"),
    "object": ("data",), "script": ("src",), "source": ("src", "srcset"), "video": ("src", "poster"),
}  # fmt: skip

#: Kinds of <link> that name a place and load nothing.
_NAMED_ALONE = {"canonical", "prev", "next", "alternate"}

#: What GitHub's Markdown and the site's must make the same of.
_KINDS = {
    "table": "table_open", "ul": "bullet_list_open", "ol": "ordered_list_open", "img": "image",
}  # fmt: skip


@dataclass
class Page(HTMLParser):
    """A page: its anchors, the targets of its links, what it loads, how often each element is in its
    article."""

    path: Path
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    _inside: bool = False

    def __post_init__(self):
        super().__init__()
        text = self.path.read_text("utf-8")
        self.feed(text)
        styles = re.findall(r"<style.*?</style>", text, re.S)
        self.loads += [target for style in styles for target in loaded_by_style(style)]

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link":
            named = _NAMED_ALONE.intersection(given.get("rel", "").split())
            (self.links if named else self.loads).append(given["href"])
        self.loads += [given[name] for name in _LOADED.get(tag, ()) if name in given]
        self._inside = self._inside or tag == "article"
        if self._inside:
            self.counted[tag] = self.counted.get(tag, 0) + 1

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "article"


def loaded_by_style(text: str) -> list[str]:
    """What a style sheet loads, less what stands in itself."""
    found = re.findall(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)", text)
    named = (target for pair in found for target in pair)
    return [target for target in named if target and not target.startswith("data:")]


def build(checkout: Path, site: Path) -> subprocess.CompletedProcess:
    program = checkout / "docs" / "site" / "build.py"
    return subprocess.run(
        [sys.executable, str(program), str(site)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stdout
    assert "WARNING" not in built.stdout
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def gone(site: Path, pages: dict[Path, Page], page: Path, link: str) -> bool:
    """Whether a link of a page leads to no file, or to no anchor of one."""
    url = urlsplit(link)
    if url.scheme:
        return False
    here = site if url.path.startswith("/") else page.parent  # 404.html can be shown anywhere
    target = Path(os.path.normpath(here / unquote(url.path).lstrip("/"))) if url.path else page
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file() or not target.is_relative_to(site):
        return True
    return bool(url.fragment and target in pages) and (
        unquote(url.fragment) not in pages[target].anchors
    )


def test_every_document_is_a_page(site, pages):
    named = [str(Path(name).with_suffix(".html")) for name in (*DOCUMENTS, "CHANGELOG.md")]
    named[0] = "index.html"
    assert sorted(str(page.relative_to(site)) for page in pages) == sorted([*named, "404.html"])


def test_every_link_of_the_site_leads_somewhere(site, pages):
    wrong = [
        f"{page.relative_to(site)}: {link}"
        for page, read in pages.items()
        for link in (*read.links, *read.loads)
        if gone(site, pages, page, link)
    ]
    assert wrong == []
    assert sum(len(read.links) for read in pages.values()) > 500


def test_what_the_search_finds_is_there(site, pages):
    told = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    found = [one["location"] or "index.html" for one in told["docs"]]
    assert [place for place in found if gone(site, pages, site / "index.html", place)] == []
    assert {"docs/api.html#dinov3_parity.parity.families.base.Tap"} < set(found)


def test_no_page_loads_anything_from_another_host(site, pages):
    loads = [(page, target) for page, read in pages.items() for target in read.loads]
    for sheet in site.rglob("*.css"):
        loads += [(sheet, target) for target in loaded_by_style(sheet.read_text("utf-8"))]
    assert [url for _, url in loads if urlsplit(url).netloc or urlsplit(url).scheme] == []
    assert {Path(url).suffix for _, url in loads} >= {".js", ".css", ".png", ".svg"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_page_has_the_tables_lists_and_pictures_that_github_shows(document, site, pages):
    """The two read Markdown by rules of their own: of a list without a blank line before it, say."""
    name = "index.html" if document == "README.md" else Path(document).with_suffix(".html")
    shown = pages[site / name].counted
    tokens = MarkdownIt("commonmark").enable("table").parse((ROOT / document).read_text("utf-8"))
    kinds = [inner.type for token in tokens for inner in (token, *(token.children or ()))]
    for tag, kind in _KINDS.items():
        assert shown.get(tag, 0) == kinds.count(kind), tag
    if document != "docs/api.md":  # whose signatures are blocks as well
        assert shown.get("pre", 0) == kinds.count("fence") + kinds.count("code_block")


def test_every_name_of_the_api_has_its_words(pages, site):
    """What has no docstring is left out by mkdocstrings, without a word."""
    names = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text("utf-8"), re.M)
    text = (site / "docs" / "api.html").read_text("utf-8")
    for name in names:
        assert name in pages[site / "docs" / "api.html"].anchors, name
        (after,) = re.findall(rf'id="{re.escape(name)}"(.*?)(?=<h[23] |</article>)', text, re.S)
        assert re.search(r'<div class="doc doc-contents[^"]*">.*?<p>\w', after, re.S), name


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A checkout whose documents a test may change."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "docs", folder / "docs")
    for name in ("README.md", "CHANGELOG.md"):
        shutil.copyfile(ROOT / name, folder / name)
    for name in ("fixtures", "parity"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_a_wrong_link_or_name_ends_the_build(checkout, tmp_path):
    with (checkout / "docs" / "faq.md").open("a") as page:
        page.write("\n[a](nowhere.md) [b](report.md#nowhere) [c](../parity)\n")
    built = build(checkout, tmp_path / "site")
    assert built.returncode != 0
    warned = [line for line in built.stdout.splitlines() if line.startswith("WARNING")]
    assert len(warned) == 3 and all(
        link in "".join(warned) for link in ("nowhere.md", "report.md#nowhere", "../parity'")
    )


def test_a_file_above_the_documents_comes_along_with_a_link_to_it(checkout, tmp_path):
    with (checkout / "docs" / "faq.md").open("a") as page:
        page.write("\n[the table of taps](../parity/taps.py)\n")
    built, site = build(checkout, tmp_path / "site"), tmp_path / "site"
    assert built.returncode == 0, built.stdout
    assert (site / "parity" / "taps.py").is_file()
    assert "../parity/taps.py" in Page(site / "docs" / "faq.html").links


def test_tox_builds_it_with_what_the_extra_has():
    """And without the suite, which would bring torch along."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert tox["testenv:docs"]["deps"].split("\n")[1:] == extras["docs"]


def test_what_loads_and_what_leads_nowhere_is_told_from_the_rest(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        '<link rel="canonical" href="https://x.org/"><link rel="stylesheet" href="//x.org/a.css">'
        '<style>@import "https://x.org/b.css"; p {background: url(https://x.org/c.png)}</style>'
        '<script src="https://x.org/d.js"></script><img src="e.png"><h1 id="here"></h1>'
        '<a href="https://x.org">1</a><a href="#here">2</a><a href="#there">3</a><a href="f.html">4</a>'
    )
    read = Page(page)
    assert [urlsplit(url).netloc for url in read.loads].count("x.org") == 4
    assert [link for link in read.links if gone(tmp_path, {page: read}, page, link)] == [
        "#there",
        "f.html",
    ]
