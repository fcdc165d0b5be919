"""Equinox's files, made to do harm."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from numpy.lib import format as npy


def leaves(content: bytes) -> list[np.ndarray]:
    stream, found = io.BytesIO(content), []
    while stream.tell() < len(content):
        found.append(np.load(stream))
    return found


def headers(content: bytes) -> list[tuple[int, int]]:
    """Where the header of each array begins and ends."""
    stream, found = io.BytesIO(content), []
    while stream.tell() < len(content):
        begin = stream.tell()
        array = np.load(stream)
        found.append((begin, stream.tell() - array.nbytes))
    return found


def headed(header: bytes, version: tuple[int, int] = (1, 0)) -> bytes:
    """An array's beginning, with any text for its header."""
    length = len(header).to_bytes(2 if version == (1, 0) else 4, "little")
    return npy.magic(*version) + length + header


def serialised(arrays: Iterable[np.ndarray | bytes], **saving: object) -> bytes:
    stream = io.BytesIO()
    for array in arrays:
        if isinstance(array, bytes):
            stream.write(array)
        else:
            np.lib.format.write_array(stream, array, **saving)
    return stream.getvalue()


def instead(content: bytes, place: int, other: np.ndarray | bytes) -> bytes:
    """Leaves with another one at a place, or any bytes there."""
    arrays = leaves(content)
    return serialised([*arrays[:place], other, *arrays[place + 1 :]])
