"""A departing tap is told which mistake of the catalogue it is: Meta with that gives these numbers."""

import pytest
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.faults.diagnosis import alike
from dinov3_parity.fixtures.faults.injection import applies, injected
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.stages.protocol import run
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.faults import catalogue
from dinov3_parity.parity.inputs.chosen import TRAPS
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records.divergence import OR
from dinov3_parity.parity.records.measurement import ISOLATED
from dinov3_parity.parity.yardstick import compare

VITS16 = VARIANTS["vits16"]
INPUTS = (*TRAPS, Input(3, (4, 5), seed=5))
#: Where mistakes are made that are to be named: in a stage that is none of what they are made in again.
STAGE = "equimo"
FAULTS = [fault for fault in catalogue().values() if applies(fault, VITS16, STAGE)]


@pytest.fixture(scope="module")
def pipe(store):
    return Pipeline(VITS16, Synthetic(VITS16), store)


def named(pipe, fault):
    """What each input on which a fault shows says that it is."""
    wrong, first = injected(fault, pipe, STAGE), fault.first_block(VITS16)
    told = []
    for drawn in INPUTS:
        reference = pipe.computed(drawn)
        place = next(
            p for p in pipe.places
            if fault.tap in {t.name for t in reference.family.of_part(p.part, VITS16)}
            and (first is None or p.index == (first,))
        )  # fmt: skip
        standard = reference.part(place)[fault.tap]
        value = run(wrong, place, reference.state(place))[fault.tap]
        if not compare(standard, value).passed and value.shape == standard.meta.shape:
            told.append(alike(pipe, reference, ISOLATED, place, standard, value))
    return told


@pytest.mark.thorough
def test_of_the_catalogue_nearly_all_are_named_and_none_is_named_wrongly(pipe):
    right, unnamed, wrong, shown = [], [], [], 0
    for fault in FAULTS:
        told = named(pipe, fault)
        if not told:
            continue
        shown += 1
        agreed = set.intersection(*(set(one.split(OR)) for one in told)) - {""}
        if fault.name in agreed:
            right.append(fault.name)
        elif not agreed:
            unnamed.append((fault.name, told))
        else:
            wrong.append((fault.name, told))
    print(f"{len(right)} of {shown} named; not: {unnamed}; as another: {wrong}")
    assert not wrong
    assert len(right) >= 0.95 * shown
