"""Children to start, and a store in which nothing goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from selftests.support.children import Child, Undisturbed


@pytest.fixture(scope="package")
def start(tmp_path_factory):
    """Start a child: what it is to do, and with what. Those that still live are killed at the end."""
    started = []

    def begin(role: str, wait: bool = True, where: Path | None = None, **order) -> Child:
        child = Child(where or tmp_path_factory.mktemp("child"), role, order, wait)
        started.append(child)
        return child

    yield begin
    for child in started:
        child.kill()


@pytest.fixture(scope="package")
def undisturbed(tmp_path_factory, start) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"), start)
