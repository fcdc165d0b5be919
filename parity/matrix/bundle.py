"""A bundle: all that the cells of the matrix need, readable with NumPy alone.

A folder with ``manifest.json``, the ONNX files, their tapped copies, the drawn inputs, and what the
reference shows of them: truth and floors of the head and of every block's output.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS, family_of
from dinov3_parity.parity.families.base import Variant
from dinov3_parity.parity.yardstick import Floor, Standard

FORMAT, MANIFEST = 2, "manifest.json"


@dataclass(frozen=True)
class Model:
    """One ONNX file of a bundle.

    ``tapped`` is its copy that also returns ``block/tap`` values, "" where there is none; ``tokens``
    says what its output holds: ``cls patches`` or ``cls registers patches``, (B, tokens, D), or
    ``cls`` or ``pooled``, (B, D); ``channels_last`` that images are given as (B, H, W, 3).
    """

    name: str
    opset: int
    form: str
    precision: str
    file: str
    tapped: str
    inputs: tuple[str, ...]
    tokens: str
    input_name: str = ""
    output_name: str = ""
    channels_last: bool = False


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk. Raises ParityError where its manifest is missing or of another format."""

    folder: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        path = self.folder / MANIFEST
        try:
            found = json.loads(path.read_text())
            known = found["format"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ParityError(
                f"{self.folder} is no bundle: {MANIFEST} is missing or unreadable ({error}). Make one "
                f"with: dinov3-parity bundle --variant vits16 --out DIR"
            ) from None
        if known != FORMAT:
            raise ParityError(
                f"{self.folder} is a bundle of format {known}, this suite reads {FORMAT}. Make it anew."
            )
        return found

    @property
    def variant(self) -> Variant:
        """The variant that its files are of."""
        return VARIANTS[self.manifest["variant"]]

    @property
    def models(self) -> list[Model]:
        return [
            Model(**fields | {"inputs": tuple(fields["inputs"])})
            for fields in self.manifest["models"]
        ]

    @property
    def digest(self) -> str:
        """Identity of the bundle's content, as hexadecimal sha256."""
        return hashlib.sha256(
            json.dumps(self.manifest["files"], sort_keys=True).encode()
        ).hexdigest()

    def path(self, name: str) -> Path:
        """A file of the bundle. Raises ParityError for a name that the manifest does not have, or
        that leads out of the folder."""
        path = self.folder / name
        inside = path.resolve().is_relative_to(self.folder.resolve())
        if name not in self.manifest["files"] or not inside:
            raise ParityError(f"{name} is not a file of the bundle at {self.folder}.")
        return path

    def verify(self) -> None:
        """Raises ParityError where a file is not what the bundle was made with."""
        for name, digest in self.manifest["files"].items():
            path = self.path(name)
            if not path.is_file() or sha256(path) != digest:
                raise ParityError(
                    f"{path} is missing, or not what the bundle was made with. Copy the bundle again, "
                    f"or make it anew."
                )

    @lru_cache(maxsize=16)  # noqa: B019 (a run has one bundle)
    def images(self, drawn: str) -> np.ndarray:
        """The images (B, 3, H, W) float32 of an input, by its name."""
        with np.load(self.path(self.manifest["inputs"][drawn]["images"])) as file:
            return file["images"]

    @lru_cache(maxsize=16)  # noqa: B019
    def standards(self, drawn: str) -> dict[str, Standard]:
        """The reference on an input: by ``cls``, ``pooled`` … and ``block/tap``."""
        taps = family_of(self.variant).taps
        with np.load(self.path(self.manifest["inputs"][drawn]["standards"])) as file:
            arrays = {name: file[name] for name in file.files}
        return {
            where: Standard(
                taps[tap["tap"]], arrays[f"{where}:meta"], arrays[f"{where}:rest"], tap["scale"],
                Floor(*tap["floor"], tokens=arrays[f"{where}:tokens"]),
            )
            for where, tap in self.manifest["inputs"][drawn]["taps"].items()
        }  # fmt: skip


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
