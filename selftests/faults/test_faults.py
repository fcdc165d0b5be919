"""Who tests the tests: every fault of the catalogue, in every stage that it can be made in.

Inputs come from the strategies of the layers; a fault is looked for on one after the other.
``faults.json`` and its page in the report directory are the scoreboard.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.faults.injection import applies, injected
from dinov3_parity.fixtures.faults.sensitivity import KINDS, NEAREST, Sensitivity, nearest
from dinov3_parity.fixtures.faults.trial import attempt, measured
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.pytest_plugin.session import SESSION
from dinov3_parity.fixtures.stages.protocol import run
from dinov3_parity.fixtures.stages.registry import root, stages
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.faults import HIDDEN, Site, catalogue, like_rounding
from dinov3_parity.parity.inputs.chosen import SQUARE, TRAPS
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.inputs.strategies import PROFILES, QUICK_AREA, Plan, inputs, plan
from dinov3_parity.parity.records import divergence
from dinov3_parity.parity.taps import taps_of
from dinov3_parity.reports.pages import faults as scoreboard
from hypothesis import find, settings

VITS16 = VARIANTS["vits16"]

#: Small models of the other structures: one mistake differs from the next there as it does at full
#: width, and their exports take seconds.
STAND_INS = {
    name: replace(VARIANTS[name], name=f"{name} (3 blocks of 128)", dim=128, heads=2, hidden=512, depth=3)
    for name in ("vits16plus", "vit7b16")
}  # fmt: skip
#: In which stages a fault is tried, of each structure.
PORTS = {"vits16": tuple(stages()), "vits16plus": tuple(stages()), "vit7b16": ("meta", "equimo")}
#: Where mistakes are made that are the same lines for every stage.
OUTSIDE = (Site.IMAGES, Site.TOKENS, Site.HEAD, Site.WEIGHTS)
#: So many times over its limit a mistake must be, so that another machine's rounding does not hide it.
MARGIN = 3
FAULTS, LIKE_ROUNDING = catalogue(), like_rounding()
KEYED = [fault for fault in FAULTS.values() if fault.keyed]
NUMBERS = {name: number for number, name in enumerate(FAULTS)}

#: What is bisected: vits16 at its full width, cut short, as one block is all that is looked at.
CUT = replace(VITS16, name="vits16 (2 blocks)", depth=2)

#: What a fault is looked for on, drawn as the layers' inputs are, nothing pinned.
INPUTS = Plan(settings(PROFILES["quick"], max_examples=10), seed=7, pinned=())
FIRST = settings(PROFILES["quick"], max_examples=1000)  # to find the smallest of a kind


def _trials():
    for name, names in PORTS.items():
        variant = STAND_INS.get(name, VITS16)
        for fault in FAULTS.values():
            for stage in names:  # one after the other: wrong weights are converted once
                if _own(name, stage, fault) and applies(fault, variant, stage):
                    # Thorough: what SwiGLU shares with the MLP is tried on vits16, and what is not made
                    # inside a stage but on what it is given, on its weights or its results in meta.
                    shared = name == "vits16plus" and fault.ffn != "swiglu"
                    outside = stages()[stage].parent and fault.site in OUTSIDE
                    # Of what is made inside mapped, as it is inside Equimo, one at each tap and site.
                    again = stage == "mapped" and fault != _first_alike(fault)
                    marks = [pytest.mark.thorough] if shared or outside or again else []
                    yield pytest.param(
                        name, stage, fault, id=f"{name}-{stage}-{fault.name}", marks=marks
                    )


def _first_alike(fault):
    """The first fault of the catalogue at a fault's tap and site."""
    at = fault.tap, fault.site, fault.ffn
    return next(one for one in FAULTS.values() if (one.tap, one.site, one.ffn) == at)


def _margin(trial, pipe, port: str) -> float:
    """How many times its limit a mistake is over on what every run is measured on: the input that it was
    found on, or where that is a small sample, the square image."""
    known = trial.record["strength"] or math.inf
    if known >= MARGIN:
        return known
    stage, place = injected(trial.fault, pipe, port), _place(trial, pipe)
    shown = measured(stage, pipe.recording(SQUARE), (place,), port)
    return max(known, *(m.strength for m in shown if m.tap == trial.fault.tap))


def _place(trial, pipe):
    named = trial.divergence.worst.place
    return next(place for place in pipe.places if str(VIT.numbered(pipe.variant, place)) == named)


def _own(name: str, stage: str, fault) -> bool:
    """What a structure shares with another is tried on that: of 7B models all but the norm of local
    crops, of SwiGLU in the example and its files all but SwiGLU."""
    if name == "vit7b16":
        return fault.needs == "local_cls_norm"
    return name == "vits16" or stage in ("meta", "equimo") or fault.ffn == "swiglu"


@pytest.fixture(scope="session")
def pipeline_of(store):
    made: dict[str, Pipeline] = {}

    def of(name: str) -> Pipeline:
        if name not in made:
            variant = {"cut": CUT, "vits16": VITS16, **STAND_INS}[name]
            made[name] = Pipeline(variant, Synthetic(variant), store)
        return made[name]

    return of


@pytest.fixture
def note(request):
    writer = request.config.stash[SESSION].writer
    return lambda kind, record: scoreboard.note(writer.folder, writer.process, kind, record)


@pytest.mark.parametrize(("structure", "port", "fault"), list(_trials()))
def test_a_fault_is_found_and_named(pipeline_of, note, structure, port, fault):
    # What the published gate says of a mistake is asked once: it is the same wherever it is made.
    trial = attempt(fault, pipeline_of(structure), port, INPUTS.inputs, gate=port == root().name)
    note(scoreboard.FAULT, trial.record | {"number": NUMBERS[fault.name]})
    assert trial.found, f"{fault.name}: nothing over its limit on {trial.examples} inputs"
    assert trial.located, f"{fault.name}: {trial.divergence}"
    assert not fault.hides_on(trial.divergence.worst.input)
    margin = _margin(trial, pipeline_of(structure), port)
    assert margin >= MARGIN, f"{fault.name} is close to rounding: {margin} times its limit"


@pytest.mark.parametrize("key", [1, 2])
@pytest.mark.parametrize("fault", KEYED, ids=lambda fault: fault.name)
@pytest.mark.parametrize("port", PORTS["vits16"])
def test_what_a_random_key_changes_is_found_with_any_key(pipeline_of, port, fault, key):
    """Two runs with one key give the same bits, two with different keys do not, and none is right."""
    pipe, drawn = pipeline_of("vits16"), Input(1, (3, 4), seed=1)
    place = pipe.places[0 if fault.block is None else 1]
    reference = pipe.recording(drawn)
    given = reference.state(place)
    first, again, other = (
        run(injected(one, pipe, port), place, given)[fault.tap]
        for one in (fault, fault.by_key(0), fault.by_key(key))
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    shown = measured(injected(fault.by_key(key), pipe, port), reference, (place,), port)
    found = divergence.first(shown)
    assert found is not None and fault.tap in (found.worst.tap, *found.parallel)


@pytest.mark.parametrize("stage", ["meta", "onnx"])
@pytest.mark.parametrize("fault", LIKE_ROUNDING.values(), ids=list(LIKE_ROUNDING))
def test_what_is_like_rounding_stays_within_the_limits(pipeline_of, note, fault, stage):
    """A finding: should one of them ever go over a limit, it belongs among the others."""
    if not applies(fault, VITS16, stage):
        pytest.skip(
            f"{fault.name} cannot be made in a file: it holds its norms as single operators"
        )
    pipe = pipeline_of("vits16")
    embed, *blocks, head = pipe.places
    places, wrong = (embed, blocks[0], blocks[-1], head), injected(fault, pipe, stage)
    shown = [
        m for one in INPUTS.inputs for m in measured(wrong, pipe.recording(one), places, stage)
    ]
    own = [m for m in shown if m.tap == fault.tap]
    note(scoreboard.ROUNDING, {
        "name": fault.name, "words": fault.words, "why": fault.why, "stage": stage, "tap": fault.tap,
        "ratio": max(m.ratio for m in own), "token_ratio": max(m.token_ratio for m in own),
    })  # fmt: skip
    assert all(m.passed for m in shown), f"{fault.name} shows after all"


@pytest.mark.parametrize("stage", PORTS["vits16"])
def test_small_changes_of_any_parameter_show(pipeline_of, note, stage):
    """The sensitivity certificate: 1e-5 of a tensor is seen at every tap; of one element, often."""
    pipe, drawn = pipeline_of("cut"), TRAPS[0]
    seen = Sensitivity(pipe, stage, drawn)
    absent = stages()[stage].absent
    has = [tap.name for part in VIT.parts for tap in taps_of(part, CUT)]
    shown = [tap for tap in has if tap in NEAREST and tap not in absent]
    for tap in shown:
        smallest = {kind: seen.smallest(tap, kind) for kind in KINDS}
        parameter, third = nearest(tap, CUT)
        parameter += "" if third is None else f", {'qkv'[third]}"
        line = {"tap": tap, "stage": stage, "parameter": parameter, "input": str(drawn)}
        note(scoreboard.CERTIFICATE, line | smallest)
        assert smallest["tensor"] <= 1e-5, tap
        assert smallest["element"] <= 1e-3, tap


@plan().apply
def test_stages_without_a_fault_raise_no_alarm(pipeline_of, note, drawn):
    pipe = pipeline_of("vits16")
    reference = pipe.recording(drawn) if plan().repeats else pipe.computed(drawn)
    records = []
    for stage in (name for name, info in stages().items() if info.parent):
        records += measured(pipe.stage(stage), reference, pipe.places, stage)
    note(scoreboard.CLEAN, {
        "taps": len(records),
        "false_alarms": sum(not m.passed for m in records),
        "max_ratio": max(m.ratio for m in records),
    })  # fmt: skip
    assert all(m.passed for m in records)


@pytest.mark.parametrize("why", [why for why in HIDDEN if why])
def test_inputs_that_hide_a_fault_do_hide_it(pipeline_of, why):
    """Told so that nobody tests a port on one square image alone."""
    pipe = pipeline_of("vits16")
    plain = lambda one: one.grid == (1, 1) and why != "one patch"
    drawn = find(
        inputs(QUICK_AREA), lambda one: HIDDEN[why](one) and not plain(one), settings=FIRST
    )
    reference = pipe.recording(drawn)
    embed, block, *_, head = pipe.places
    for fault in FAULTS.values():
        if fault.hidden == why and applies(fault, VITS16, "meta"):
            stage = injected(fault, pipe, "meta")
            shown = measured(stage, reference, (embed, block, head), "meta")
            own = [m for m in shown if m.tap == fault.tap]
            assert all(m.passed for m in own), f"{fault.name} shows on {drawn}"


def test_the_catalogue_is_whole():
    assert len(FAULTS) >= 80
    assert all(fault.tap in VIT.taps and fault.words for fault in FAULTS.values())
    assert {fault.site for fault in FAULTS.values()} == set(Site)
    assert {fault.hidden for fault in FAULTS.values()} <= set(HIDDEN)
