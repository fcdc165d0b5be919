"""The header of a run: run.json, with every key that a reader may rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from dinov3_parity.parity.records.deviations import Deviation
from dinov3_parity.parity.records.divergence import PYTEST
from dinov3_parity.parity.records.measurement import FORMAT
from msgspec import Struct

Scalar = str | int | float | bool | None


class Derived(Struct):
    """A stage of the pipeline, and the stage that its weights derive from; "" of the reference.
    ``packages`` are those whose versions a reader asks for."""

    name: str = ""
    parent: str = ""
    packages: list[str] = []


class Checkpoint(Struct):
    kind: str = ""
    description: str = ""
    digest: str = ""


class Opened(Struct):
    """What ran a stage of a variant, and the taps it cannot show with its reasons.

    Of an ONNX file how its images go in (``input``), what each output is, the numbers that it computes in
    where these are not float32, and which outputs nothing was compared with, in words. Of a graph whose
    taps were found, what each is ``called`` there and by what it was found, in words.
    """

    runtime: str = ""
    absent: dict[str, str] = {}
    called: dict[str, str] = {}
    input: str = ""
    outputs: str = ""
    numbers: str = ""
    not_compared: str = ""


class References(Struct):
    """The file of recorded references that a run measured against, and what they were computed with; ""
    and nothing where the run computed them."""

    path: str = ""
    sha256: str = ""
    written_by: str = ""
    packages: dict[str, str] = {}


class Inputs(Struct):
    """How inputs were chosen; ``examples`` were drawn for each test besides the pinned ones."""

    profile: str = ""
    seed: int = 0
    examples: int = 0
    pinned: list[str] = []


class Gap(Struct):
    """What a test declared on an input, and did not compare all of; of which stage and variant, "" where
    that is not told."""

    test: str = ""
    input: str = ""
    declared: int = 0
    compared: int = 0
    variant: str = ""
    stage: str = ""


class Contract(Struct):
    """How many comparisons were declared and made, on how many inputs."""

    declared: int = 0
    compared: int = 0
    inputs: int = 0
    missing: list[Gap] = []


class Failure(Struct):
    """What a failed test said of the smallest input that it failed on."""

    test: str = ""
    input: str = ""
    words: str = ""


class Costs(Struct):
    """Of a variant; seconds are by stage and place."""

    peak_resident_bytes: int = 0
    seconds: dict[str, dict[str, float]] = {}


class Artifact(Struct):
    """Something that was made, or found in the store; seconds of making and of fetching it."""

    kind: str = ""
    variant: str = ""
    key: str = ""
    made_now: Scalar = None
    made_in: float = 0
    seconds: float = 0
    process: str = ""


class Test(Struct):
    """What became of a test, and what it told of itself."""

    test: str = ""
    outcome: str = ""
    seconds: float = 0
    words: str = ""
    properties: dict[str, Scalar] = {}


class Header(Struct):
    """What run.json tells of a run; there may be more in it. ``pipeline`` has the stages that this
    suite makes, in its order; ``program`` is what a repetition begins with, ``options`` what it needs as
    well; ``deviations`` are its known departures; ``called`` is by family, tap and stage what a stage's
    own code calls a tap; costs under "" are of all variants."""

    format: int = FORMAT
    id: str = ""
    command: str = ""
    options: list[str] = []
    program: str = PYTEST
    started: str = ""
    seconds: float = 0
    exit: str = ""
    pipeline: list[Derived] = []
    called: dict[str, dict[str, dict[str, str]]] = {}
    versions: dict[str, str] = {}
    host: dict[str, Scalar] = {}
    checkpoints: dict[str, Checkpoint] = {}
    stages: dict[str, Opened] = {}
    deviations: list[Deviation] = []
    references: References = msgspec.field(default_factory=References)
    inputs: Inputs = msgspec.field(default_factory=Inputs)
    contract: Contract = msgspec.field(default_factory=Contract)
    failures: list[Failure] = []
    costs: dict[str, Costs] = {}
    artifacts: list[Artifact] = []
    tests: list[Test] = []


_FIELDS = msgspec.structs.fields(Header)


def filled(told: Any) -> tuple[dict[str, Any], list[str]]:
    """A header from what run.json tells, and the keys that are of another shape: these are as if
    they were not told. Keys that no reader relies on stay as they are."""
    told = told if isinstance(told, dict) else {}
    header, wrong = told | msgspec.to_builtins(Header()), []
    for key in (field for field in _FIELDS if field.name in told):
        try:
            shaped = msgspec.convert(told[key.name], key.type)
        except msgspec.ValidationError:
            wrong.append(key.name)
        else:
            header[key.name] = _completed(told[key.name], msgspec.to_builtins(shaped))
    return header, wrong


def _completed(told: Any, shaped: Any) -> Any:
    """What is told, with the missing keys that its shape has."""
    if isinstance(shaped, dict):
        own = {key: _completed(told[key], v) if key in told else v for key, v in shaped.items()}
        return told | own
    if isinstance(shaped, list):
        return [_completed(one, other) for one, other in zip(told, shaped, strict=True)]
    return told


def called_in(header: Mapping[str, Any], variant: str, family: str) -> dict[str, dict[str, str]]:
    """How the stages of a run call each tap of a variant, by tap and stage: as their own code does, or as
    was found in them."""
    told = {tap: dict(names) for tap, names in header["called"].get(family, {}).items()}
    for name, opened in header["stages"].items():
        of, _, stage = name.partition(" ")
        for tap, words in opened.get("called", {}).items() if of == variant else ():
            told.setdefault(tap, {})[stage] = words
    return told
