"""Mistakes that blocks do not have: wrong for some sizes, images or calls, or in the whole alone."""

from dataclasses import replace
from functools import cache

import pytest
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.faults.whole_trial import by_relations, on_inputs
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.stages.meta.vit import Meta
from dinov3_parity.fixtures.stages.protocol import chain
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.faults.whole import BLOCKS, WHOLE, whole_faults
from dinov3_parity.parity.inputs.covered import missing, pairs
from dinov3_parity.parity.inputs.drawn import ENDS
from dinov3_parity.parity.inputs.strategies import QUICK_SEED, made
from dinov3_parity.parity.relations import RELATIONS, table

from selftests.support.documents import ROOT

#: Small, for what is wrong about a whole model is wrong whatever its width.
SMALL = replace(
    VARIANTS["vits16"], name="vits16 (3 blocks of 128)", dim=128, heads=2, hidden=512, depth=3
)
FAULTS = whole_faults()
PLAN = made("quick", None, QUICK_SEED)


class Right:
    """Meta's own model, as relations ask it."""

    written = ""

    def __init__(self, seed=0):
        self.stage = Meta(SMALL, Synthetic(SMALL, seed=seed))
        self._known = {}

    def features(self, images):
        """Each image of a shape is computed once; who gets it may write into it."""
        at = images.shape, images.tobytes()
        if at not in self._known:
            self._known[at] = self.stage.features(images)
        return {tap: value.copy() for tap, value in self._known[at].items()}

    def fitted(self, drawn):
        return drawn

    def new(self):
        return self.features

    def other(self):
        return Right(seed=1).features

    def chained(self, images):
        *_, (_, shown) = chain(self.stage, SMALL, images)
        return shown


@pytest.fixture(scope="module")
def right():
    return Right()


@pytest.fixture(scope="module")
def reference_on(store):
    pipe = Pipeline(SMALL, Synthetic(SMALL), store)
    return cache(lambda drawn: pipe.recording(drawn, ENDS))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_it_is_found_in_the_default_profile_by_whom_it_should(right, reference_on, fault):
    seen = on_inputs(fault, right, reference_on, PLAN.ends)
    if fault.found_by == WHOLE:
        assert seen
    else:
        assert not seen, f"no relation is needed for it: {seen}"
        assert fault.found_by in (found := by_relations(fault, right, reference_on)), found


def test_the_document_has_the_tables_as_they_are():
    told = (ROOT / "docs" / "whole.md").read_text()
    assert table() in told
    by_whole = sum(fault.found_by == WHOLE for fault in FAULTS.values())
    assert f"has {len(FAULTS)} of them" in told
    assert f"{by_whole} are found by `whole`, {len(FAULTS) - by_whole} by their relation" in told
    for name in ("quick", "thorough"):
        plan = made(name, None, QUICK_SEED)
        (inside, of), (ends, _) = pairs(plan.inputs), pairs(plan.ends)
        assert any(
            line.startswith(f"| {name} | {inside}") and line.endswith(f" {ends} |")
            for line in told.splitlines()
        ), (name, inside, of, ends)


def test_the_quick_profile_has_every_class_of_inputs():
    assert missing(PLAN.ends) == []


def test_a_right_model_keeps_every_relation(right, reference_on):
    nothing = replace(
        FAULTS["first call apart"], make=lambda: lambda features, images: features(images)
    )
    assert not on_inputs(nothing, right, reference_on, PLAN.ends)
    assert by_relations(nothing, right, reference_on) == {}


def test_every_relation_is_needed_by_a_mistake():
    """But for one that says of a port that its whole and its blocks are one, where whole and blocks each
    say that they are Meta's."""
    assert set(RELATIONS) - {BLOCKS} == {fault.found_by for fault in FAULTS.values()} - {WHOLE}
