"""The environments of the matrix: one a minor release of onnxruntime."""

from __future__ import annotations

#: Minor releases that tox.ini has an environment for.
RELEASES = tuple(f"1.{number}" for number in range(18, 33))

#: The names of these environments.
NAMES = tuple(f"ort{release}" for release in RELEASES)
