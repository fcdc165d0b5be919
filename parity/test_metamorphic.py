"""Layer 4: a model's own answers, held against one another."""

import pytest
from dinov3_parity.parity.relations import RELATIONS, held


@pytest.mark.contract("relation")
@pytest.mark.parametrize("relation", RELATIONS.values(), ids=lambda one: one.word)
def test_its_answers_agree(model, reference_on, comparator, relation):
    drawn, outcome = held(model, relation)
    comparator.relate(relation.name, reference_on(drawn), outcome)
    comparator.hold()
