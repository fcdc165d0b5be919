"""A sound checkpoint with something else in it, in a command's room."""

import io
import os

import numpy as np

from selftests.support.hostile.eqx import headed
from selftests.support.hostile.pth import records, saved, zipped


class Bomb:
    def __init__(self, order):
        self.order = order

    def __reduce__(self):
        return os.system, (self.order,)


def changed(room, file, **other):
    saved(file, room.good.checkpoint, **other)


def of_torch(name):
    import torch

    return getattr(torch, name)


def with_members(room, file, *names):
    zipped(file, [*records(room.good.pth).items(), *((name, b"x") for name in names)])


def pickled_leaf():
    stream = io.BytesIO()
    np.save(stream, np.array([Bomb("touch it-ran")], object), allow_pickle=True)
    return stream.getvalue()


def bad_header(shape):
    return headed(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode())
