"""Pages: Jinja2 templates with everything they need inside, and a policy that lets nothing else in.

A page may run the scripts written into it, each named by its hash, and load nothing from anywhere.
Charts are drawn by Observable Plot (with d3), shipped in ``reports/vendor``: half a megabyte where
Plotly takes five, SVG that prints, follows the page's colours and can be read by a screen reader.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from dinov3_parity.parity.words import counted
from markupsafe import Markup, escape

_HERE = Path(__file__).parents[1]
VENDORED = _HERE / "vendor"

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _code(words: str) -> Markup:
    """Text with `code` in it."""
    parts = [escape(part) for part in words.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)
    )


TEMPLATES.filters["code"] = _code
TEMPLATES.filters["counted"] = counted
TEMPLATES.filters["urlencode"] = lambda words: quote(words, errors="replace")

#: The page's own scripts, in the order in which they are joined into one.
COMMON = ("tables", "page")
CHARTS = ("format", "state", "data", "tooltip", "charts", "tap", "places", "overview")
VENDOR = ("d3.min", "plot.umd.min")

OVERVIEW, MATRIX, FAULTS, DEVIATIONS, ENVIRONMENT, COMPARISON = (
    "index.html", "matrix.html", "faults.html", "deviations.html", "environment.html",
    "comparison.html",
)  # fmt: skip
_WORDS = {
    OVERVIEW: "Overview", COMPARISON: "Comparison", MATRIX: "onnxruntime", FAULTS: "Faults",
    DEVIATIONS: "Deviations", ENVIRONMENT: "Environment",
}  # fmt: skip


def render(name: str, pages: tuple[str, ...], charts: bool = False, **context: Any) -> str:
    """One page as text; ``pages`` are those of its site, which it links to."""
    theme, rest = _script("theme"), [_joined(COMMON)]
    if charts:
        rest = [*(_vendored(file) for file in VENDOR), _joined(COMMON + CHARTS)]
    allowed = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src 'unsafe-inline'; script-src {' '.join(map(_hash, (theme, *rest)))}"
    )
    return TEMPLATES.get_template(name).render(
        allowed=allowed,
        here=name,
        nav=[(file, words) for file, words in _WORDS.items() if file in pages],
        scripts={"theme": Markup(theme), "rest": [Markup(script) for script in rest]},
        **context,
    )


@cache
def _script(name: str) -> str:
    return (_HERE / "scripts" / f"{name}.js").read_text(encoding="utf-8")


@cache
def _vendored(name: str) -> str:
    return (VENDORED / f"{name}.js").read_text(encoding="utf-8")


@cache
def _joined(names: tuple[str, ...]) -> str:
    return '"use strict";\n(() => {\n' + "".join(map(_script, names)) + "})();\n"


@cache
def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
