"""A port of Python in a process and an environment of its own: any class with the five methods.

dinov3-parity check --command "/its/own/env/bin/python process_port.py my_port.py:MyPort"
It needs NumPy, and nothing of dinov3-parity; docs/ports.md has the protocol.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import numpy as np

DECLARED = ("name", "sizes", "batches", "absent", "features_only")


def loaded(words):
    """The class of path/to/module.py:Name or package.module:Name."""
    place, _, name = words.rpartition(":")
    folder, module = os.path.split(place.removesuffix(".py"))
    sys.path.insert(0, os.path.abspath(folder))
    return getattr(importlib.import_module(module), name)


def answered(verb, asked, kind, held):
    """The answer to a line; ``held`` has the port and the folder from ``start`` on."""
    if verb == "describe":
        declared = {name: getattr(kind, name) for name in DECLARED if hasattr(kind, name)}
        return {"protocol": 1, **declared, **(held["port"].describe() if held else {})}
    if verb == "start":
        folder, variant = Path(asked["folder"]), SimpleNamespace(**asked["variant"])
        weights = {file.stem: np.load(file) for file in (folder / asked["weights"]).iterdir()}
        held |= {"folder": folder, "port": kind(variant, weights)}
    elif verb in ("embed", "block", "head", "features"):
        given = [np.load(held["folder"] / asked[n]) for n in ("images", "tokens") if n in asked]
        given = [asked["block"], *given, tuple(asked["grid"])] if verb == "block" else given
        shown = getattr(held["port"], verb)(*given)
        files = {tap: f"{asked['id']}.{tap}.npy" for tap in shown if shown[tap] is not None}
        for tap, file in files.items():
            np.save(held["folder"] / file, np.asarray(shown[tap]), allow_pickle=False)
        return {"taps": files}
    return {} if verb in ("start", "stop") else {"error": f"no such verb: {verb}"}


answers = os.fdopen(os.dup(1), "w")  # standard output is the protocol's
os.dup2(2, 1)  # whatever prints goes to standard error
kind, held = loaded(sys.argv[1]), {}
for asked in map(json.loads, sys.stdin):  # it ends with who asks
    try:
        told = answered(asked["verb"], asked, kind, held)
    except Exception as error:
        traceback.print_exc()
        *_, at = traceback.extract_tb(error.__traceback__)
        told = {"error": f"{type(error).__name__}: {error}, at {at.filename}:{at.lineno}"}
    print(json.dumps({"id": asked["id"], **told}), file=answers, flush=True)
    if asked["verb"] == "stop":
        break
