"""Checkpoints made to do harm: what torch writes, and the tables of safetensors."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np


def records(pth: Path) -> dict[str, bytes]:
    """What is in a checkpoint's zip, by name."""
    with zipfile.ZipFile(pth) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def zipped(file: Path, members: Iterable[tuple[str, bytes]], packed: bool = False) -> None:
    """A zip of these members, which may repeat names."""
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", kind) as made:
        for name, content in members:
            made.writestr(zipfile.ZipInfo(name), content, kind)


def pickled(file: Path, program: bytes, good: Path | None = None) -> None:
    """A checkpoint whose pickle is a program; all else is a sound one's, if there is one."""
    members = records(good) if good else {"archive/version": b"3\n", "archive/byteorder": b"little"}
    name = next((n for n in members if n.endswith("data.pkl")), "archive/data.pkl")
    zipped(file, ({name: program} | {k: v for k, v in members.items() if k != name}).items())


def after(pth: Path, program: bytes) -> bytes:
    """A sound checkpoint's pickle that runs a program once the state dict is complete, and drops its
    result: what is loaded is right."""
    sound = next(v for k, v in records(pth).items() if k.endswith("data.pkl"))
    return sound[:-1] + program + b"0."


def saved(file: Path, checkpoint: Mapping[str, np.ndarray], **other: object) -> None:
    """What torch writes of a checkpoint in which other values stand; None leaves a name out."""
    import torch

    tensors = {name: torch.from_numpy(np.array(value)) for name, value in checkpoint.items()}
    tensors |= {name.replace("__", "."): value for name, value in other.items()}
    torch.save({name: value for name, value in tensors.items() if value is not None}, file)


def safetensors(file: Path, good: Path, change: Callable[[dict], object]) -> None:
    """A copy with its table changed, or with the text that ``change`` returns in its place."""
    content = good.read_bytes()
    length = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + length])
    text = change(table)
    header = text if isinstance(text, bytes) else json.dumps(table).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
