"""A real browser for the pages of a report: Debian's chromium, driven by Playwright.

A test asks for ``opened`` and gets a function that opens a file. Each page has a context of its own,
without a network. As the test ends, a page that raised an error, told the console of one, or asked
for anything beside itself fails the test.

``browser`` and ``opened`` are fixtures: one conftest imports both, so that a process starts one browser.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PROGRAM = "chromium"
_OPTIONS = [
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_LATE = 50  # milliseconds that a page has for errors that are on their way


@dataclass
class Sheet:
    """An opened page. ``errors`` are those of its scripts and of the console, ``requests`` the
    addresses of everything that it asked for beside itself."""

    page: Any  # playwright.sync_api.Page
    path: Path
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    closed: bool = False

    @property
    def size(self) -> int:
        """Bytes of its file, which is all that is ever transferred."""
        return self.path.stat().st_size

    def listen(self) -> None:
        """Collect from here on what it does wrong."""
        context = self.page.context
        context.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        context.on("weberror", lambda raised: self.errors.append(str(raised.error)))
        context.on("request", self._asked)

    def _asked(self, request) -> None:
        """A link may lead to the pages of the same folder; nothing else there may be loaded."""
        address = request.url.partition("#")[0].partition("?")[0]
        beside = address.startswith(f"{self.path.parent.as_uri()}/")
        visits = request.is_navigation_request() and request.frame.parent_frame is None
        inside = address.startswith(("data:", "blob:")) or address == self.path.as_uri()
        if not inside and not (visits and beside):
            self.requests.append(request.url)

    def close(self) -> None:
        """Close it, once. Raises AssertionError if anything was wrong with it."""
        if self.closed:
            return
        self.closed = True
        if not self.page.is_closed():
            self.page.wait_for_timeout(_LATE)
        self.page.context.close()
        told = [f"error: {words}" for words in self.errors]
        told += [f"request: {address}" for address in self.requests]
        if told:
            raise AssertionError("\n".join([f"{self.path.name} in the browser", *told]))


@dataclass(frozen=True)
class Running:
    """A browser that runs, and the event loop that Playwright drives it by, in this thread."""

    chromium: Any  # playwright.sync_api.Browser
    loop: asyncio.AbstractEventLoop

    @contextmanager
    def driven(self) -> Iterator[Any]:
        """Playwright's calls are made inside. Its loop counts as running only here, not for whatever
        else the process tests, which may want one of its own."""
        asyncio._set_running_loop(self.loop)
        try:
            yield self.chromium
        finally:
            asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Running]:
    """One browser for all tests of a process, started by the first that asks for it."""
    program = found()
    from playwright.sync_api import sync_playwright

    playwright = sync_playwright().start()
    loop = asyncio.get_running_loop()
    try:
        chromium = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
    finally:
        asyncio._set_running_loop(None)
    running = Running(chromium, loop)
    yield running
    with running.driven():
        chromium.close()
        playwright.stop()


def found() -> str:
    """Where the browser is. Tests are skipped where there is none; with ``CI`` set they fail."""
    program = shutil.which(PROGRAM)
    if not program:
        words = f"there is no {PROGRAM} here; on Debian: apt-get install {PROGRAM}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(words)
    return program


@pytest.fixture
def opened(browser) -> Iterator[Callable[..., Sheet]]:
    """Opens a page: ``opened(path, hash="cls", scheme="dark", javascript=False, size=(390, 844))``."""
    with browser.driven() as chromium, ExitStack() as closing:

        def open_(path: Path, *, hash="", scheme="light", javascript=True, size=(1280, 900)):
            context = chromium.new_context(
                color_scheme=scheme, java_script_enabled=javascript, offline=True,
                viewport=dict(zip(("width", "height"), size, strict=True)),
            )  # fmt: skip
            sheet = Sheet(context.new_page(), path.resolve())
            closing.callback(sheet.close)
            sheet.listen()
            fragment = f"#{hash.removeprefix('#')}" if hash else ""
            sheet.page.goto(sheet.path.as_uri() + fragment)
            return sheet

        yield open_


def axe(page) -> list[dict[str, Any]]:
    """What axe-core finds on a page of serious or critical impact. It gets there by the debugger's
    protocol, which no Content-Security-Policy stops, and needs JavaScript: without, it never ends."""
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(page).response["violations"]
    return [one for one in violations if one["impact"] in ("serious", "critical")]


def screenshot(page, path: Path, full: bool = True) -> Path:
    """Write a picture of a page, whole or as far as it is in view; the picture's path."""
    page.screenshot(path=path, full_page=full, animations="disabled")
    return path


_PAINTS = """() => Object.fromEntries(
  performance.getEntriesByType("paint").map((paint) => [paint.name, paint.startTime])
)"""


def paints(page, within: float = 30.0) -> dict[str, float]:
    """Milliseconds to ``first-paint`` and ``first-contentful-paint`` from when the page was asked for."""
    end = time.monotonic() + within
    while "first-contentful-paint" not in (seen := page.evaluate(_PAINTS)):
        if time.monotonic() > end:
            raise TimeoutError(f"nothing was painted within {within:g} s")
        page.wait_for_timeout(10)
    return seen
