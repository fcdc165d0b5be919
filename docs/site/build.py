"""The site of the documents: ``python docs/site/build.py build/site``, or ``tox run -e docs``.

The pages are laid out as they lie in the repository, README.md in front, with every file that they link
to, so that a link leads to the same file on GitHub and in the site. Beside them lie the folders of the
suite, below the name that they are imported by, for mkdocstrings to read: it imports nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PAGES = ("README.md", "CHANGELOG.md", "docs/*.md")

#: The path in an inline link or image; what begins with a scheme or an anchor is none.
_LINKED = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the site of the documents.")
    parser.add_argument("site", type=Path, nargs="?", default=ROOT / "build" / "site")
    return build(ROOT, parser.parse_args().site)


def build(root: Path, site: Path) -> int:
    """The exit status of mkdocs, for which a warning is an error."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        lay_pages(root, work / "pages")
        lay_code(root, work / "code")
        shutil.copyfile(root / "docs" / "site" / "mkdocs.yml", work / "mkdocs.yml")
        # With --quiet mkdocs would count no warnings. The variable keeps mkdocs-material from telling
        # at every build of another tool, of which mkdocs.yml has what we know.
        return subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", site.resolve()],
            cwd=work, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=False,
        ).returncode  # fmt: skip


def lay_pages(root: Path, pages: Path) -> None:
    """Every page and the files that it links to, at their own paths."""
    for page in (page for pattern in PAGES for page in root.glob(pattern)):
        linked = (page.parent / path for path in _LINKED.findall(page.read_text("utf-8")))
        for file in (page, *filter(Path.is_file, linked)):
            target = pages / os.path.relpath(file, root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def lay_code(root: Path, code: Path) -> None:
    """``dinov3_parity`` as a wheel has it."""
    package = code / "dinov3_parity"
    shutil.copytree(root / "fixtures" / "package" / "dinov3_parity", package)
    for name in ("parity", "fixtures"):
        wanted = shutil.ignore_patterns("__pycache__", "package", "__snapshots__")
        shutil.copytree(root / name, package / name, ignore=wanted)


if __name__ == "__main__":
    sys.exit(main())
