"""What stands in README.md and docs/ that can be run, followed or looked up.

A block in a language is run. A block in none, indented or fenced, is what the ``sh`` block above it
prints: its lines stand in what is printed, one after the other, and ``…`` stands for any words
between. A comment right before a block spares it, with the reason: ``<!-- not run: … -->``,
``<!-- not compared: … -->``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]

#: Every document, the one that readers see first before the others.
DOCUMENTS = ("README.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md")))

#: A comment right before a block says why no test runs it, or compares what it shows.
_SPARED = re.compile(r"<!-- not (?:run|compared): (.+?) -->", re.S)

#: What differs between two runs that say the same, and what stands in its place: figures by digit,
#: where the strongest comparison was, folders. Counts stay as they are.
_VARYING = (
    (r"(?<!\S)/\S*/", "/"),
    (r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+|%)", "N"),
    (r"(?<![\w.])[\d,]+(?= times the rounding floor)", "N"),
    (r"(?<=N of )(limit )?\d+", r"\1N"),
    (r"(?<=[a-z_] )\(\d+\)", "(N)"),
    (r"\((?:[\w-]+, )?(?:block \d+, )?[\w.]+, B\d+ \d+x\d+ seed=\d+[^)]*\)", "(PLACE)"),
    (r"(?<=N of its limit, at )[\w ,.]+?(?=\.(\s|$))", "PLACE"),
)


@dataclass(frozen=True)
class Block:
    """A block of code: its language ("": what is printed), its text, the line it begins at, why it
    is not run or compared ("": it is)."""

    language: str
    text: str
    line: int
    spared: str


def blocks(document: str) -> list[Block]:
    """Every block of code, in order."""
    found, before = [], None
    for token in MarkdownIt("commonmark").parse((ROOT / document).read_text("utf-8")):
        if token.type in ("fence", "code_block"):
            spared = _SPARED.search(before.content) if before is not None else None
            found.append(
                Block(token.info, token.content, token.map[0] + 1, spared[1] if spared else "")
            )
        before = token if token.type == "html_block" else None
    return found


def absent(shown: str, printed: str) -> str:
    """Of what a document shows, the first words that were not printed after those before; "" where
    all of them were."""
    rest = plain(printed)
    for words in filter(None, map(str.strip, plain(shown).split("…"))):
        _, found, rest = rest.partition(words)
        if not found:
            return words
    return ""


def plain(words: str) -> str:
    """Words as they are in every run on every machine, whatever the width of the terminal."""
    words = re.sub(r"store: made (.+); reused (.+)", _in_store, words)
    for varying, steady in _VARYING:
        words = re.sub(varying, steady, " ".join(words.split()))
    return words


def _in_store(line: re.Match) -> str:
    """What a run made or reused, in one list: which of it was there before is not the run's."""
    kinds: Counter[str] = Counter()
    for kind in ", ".join(line.groups()).split(", "):
        name, _, count = kind.partition(" ×")
        kinds[name] += int(count or 1)
    del kinds["nothing"]
    return "store: " + ", ".join(f"{name} ×{count}" for name, count in sorted(kinds.items()))


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
