"""A second line of exported files, known by its record alone: the guard of what is done to every file.

As a pytest plugin (``-p selftests.support.stages.second_file``) it makes the stage known to a run. It is
what the suite's own file is, under another name.
"""

from __future__ import annotations

from dataclasses import replace

from dinov3_parity.fixtures.stages import registry
from dinov3_parity.fixtures.stages.onnx.info import INFO as ONNX

INFO = replace(ONNX, name="second", forms=("size", "static"))

registry.stages()
registry.register(INFO)
