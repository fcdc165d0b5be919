"""Found taps against the taps that are written by hand: the same values, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.graphs.onnx_graph import OnnxGraph
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.fixtures.ports.graphed import Graphed
from dinov3_parity.fixtures.ports.looking import aligned
from dinov3_parity.fixtures.ports.onnx_file import from_file
from dinov3_parity.fixtures.stages.protocol import run
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.inputs.chosen import SQUARE
from dinov3_parity.parity.inputs.drawn import Input

#: Small models of either FFN.
SMALL = {
    name: replace(VARIANTS[name], name=f"{name} (3 blocks of 128)", dim=128, heads=2, hidden=512, depth=3)
    for name in ("vits16", "vits16plus")
}  # fmt: skip
#: Inputs that no search looks at.
UNSEEN = {"static": SQUARE, "batch": replace(SQUARE, batch=3), "size": Input(2, (4, 3), seed=11)}


@pytest.mark.parametrize("form", UNSEEN)
@pytest.mark.parametrize("name", SMALL)
def test_found_taps_of_an_export_are_those_of_its_functions(store, name, form, snapshot):
    """And stand where they stood: what a new release calls otherwise is a changed line here."""
    pipe = Pipeline(SMALL[name], Synthetic(SMALL[name]), store)
    stage = pipe.stage("onnx", form=form, level="disable")
    port = from_file(str(stage.path), "file")
    graph = OnnxGraph(stage.path, port.ends.entrance.feed)
    found = aligned(pipe, graph, port.fitted)
    graphed = Graphed(pipe.variant, pipe.checkpoint, graph, found)
    reference = pipe.computed(UNSEEN[form])
    for place in reference.places:
        by_hand = run(stage, place, reference.state(place))
        by_search = run(graphed, place, reference.state(place))
        assert by_search.keys() == by_hand.keys(), place
        for tap, value in by_hand.items():
            assert np.array_equal(by_search[tap], value), f"{place}, {tap}"
    assert "\n".join(f"{tap}: {words}" for tap, words in graphed.called.items()) == snapshot
    graph.close()
