"""Equimo's archives, made to do harm."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import lz4.frame


def contents(archive: Path) -> dict[str, bytes]:
    with lz4.frame.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def tarred(
    file: Path, members: Iterable[tuple[tarfile.TarInfo, bytes]], format: int = tarfile.PAX_FORMAT
) -> None:
    with (
        lz4.frame.open(file, "wb") as stream,
        tarfile.open(fileobj=stream, mode="w", format=format) as tar,
    ):
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))


def packed(file: Path, content: bytes) -> None:
    file.write_bytes(lz4.frame.compress(content))


def model_config(good: Path) -> dict:
    return json.loads(contents(good)["metadata.json"])


def rebuilt(file: Path, good: Path, **replaced: bytes) -> None:
    """An archive in which ``metadata`` or ``weights`` is something else."""
    held = contents(good)
    names = {"metadata": "metadata.json", "weights": "weights.eqx"}
    held |= {names[key]: value for key, value in replaced.items()}
    tarred(file, (member(name, content) for name, content in held.items()))
