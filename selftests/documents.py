"""What stands in README.md and docs/ that can be run, followed or looked up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent

#: Every document, the one that readers see first before the others.
DOCUMENTS = ("README.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md")))

#: A comment right before a block says why no test runs it.
_SPARED = re.compile(r"<!-- not run: (.+?) -->", re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line it begins at, why it is not run ("": it is)."""

    language: str
    text: str
    line: int
    spared: str


def blocks(document: str) -> list[Block]:
    """Every fenced block with a language, in order."""
    found, before = [], None
    for token in MarkdownIt("commonmark").parse((ROOT / document).read_text("utf-8")):
        if token.type == "fence" and token.info:
            spared = _SPARED.search(before.content) if before is not None else None
            found.append(
                Block(token.info, token.content, token.map[0] + 1, spared[1] if spared else "")
            )
        before = token if token.type == "html_block" else None
    return found


def links(document: str) -> Iterator[str]:
    """The target of every link and image."""
    for token in (
        MarkdownIt("commonmark").enable("table").parse((ROOT / document).read_text("utf-8"))
    ):
        for inner in token.children or ():
            if target := inner.attrGet("href") or inner.attrGet("src"):
                yield target


def anchors(document: str) -> set[str]:
    """What a link into a document can name: its headings, as GitHub writes them."""
    tokens = MarkdownIt("commonmark").parse((ROOT / document).read_text("utf-8"))
    titles = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def options(document: str) -> set[str]:
    """Every ``--option`` that a document names in code."""
    text = (ROOT / document).read_text("utf-8")
    code = [*re.findall(r"`([^`\n]+)`", text), *(block.text for block in blocks(document))]
    return {word for words in code for word in re.findall(r"(?<![\w-])--[a-z][a-z-]+", words)}
