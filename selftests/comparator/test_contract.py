"""What is declared: every tap of every place, the last block and the head's patches among them."""

import pytest
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.records.contract import at, declared, size
from dinov3_parity.parity.records.measurement import CHAINED, ISOLATED, LOCAL

VITS16 = VARIANTS["vits16"]
PLACES = EMBED, *BLOCKS, HEAD = VIT.places(VITS16)


def taps(place):
    return tuple(tap.name for tap in VIT.of_part(place.part, VITS16))


def test_each_place_alone_is_declared_with_every_tap_and_once():
    everywhere = {(ISOLATED, place): taps(place) for place in PLACES}
    assert declared("embedding", VITS16) == {(ISOLATED, EMBED): everywhere[ISOLATED, EMBED]}
    assert declared("blocks", VITS16) == {
        key: everywhere[key] for key in everywhere if key[1].index
    }
    assert declared("final norm", VITS16) == {(ISOLATED, HEAD): everywhere[ISOLATED, HEAD]}
    reference = declared("reference", VITS16)
    assert {key: of for key, of in reference.items() if key[0] == ISOLATED} == everywhere
    assert len(BLOCKS) == 12 and size(reference) == sum(map(len, reference.values()))


def test_a_chain_is_declared_from_the_first_block_to_the_head():
    chain = {(CHAINED, place): ("input", "residual1", "output") for place in BLOCKS}
    head = ("norm", "cls", "registers", "patches", "pooled")
    assert declared("chain", VITS16) == chain | {(CHAINED, HEAD): head}
    assert declared("reference", VITS16).items() > declared("chain", VITS16).items()
    embedding = {(ISOLATED, EMBED): taps(EMBED)}
    assert declared("reference chain", VITS16) == embedding | declared("chain", VITS16)


def test_an_operation_is_declared_where_something_is_computed():
    local = declared("operations", VITS16)
    assert list(local) == [(LOCAL, place) for place in PLACES]
    assert local[LOCAL, HEAD] == ("norm",)
    assert all(local[LOCAL, block] == taps(block)[1:] for block in BLOCKS)
    assert local[LOCAL, EMBED] == taps(EMBED)


@pytest.mark.parametrize(
    ("contract", "head"),
    [
        ("file", ("cls", "patches", "pooled")), ("whole model", ("cls", "pooled")),
        ("whole", ("norm", "cls", "registers", "patches", "pooled")),
        ("relation", ("norm", "cls", "registers", "patches", "pooled")),
    ],
)  # fmt: skip
def test_of_a_whole_model_what_it_returns_is_declared(contract, head):
    assert declared(contract, VITS16) == {(CHAINED, HEAD): head}


def test_of_a_tapped_copy_every_block_and_what_it_returns_is_declared():
    copy = {(CHAINED, place): ("residual1", "output") for place in BLOCKS}
    assert declared("tapped copy", VITS16) == copy | {
        (CHAINED, HEAD): ("norm", "cls", "patches", "pooled")
    }


def test_what_a_stage_cannot_show_is_not_declared_everywhere_or_at_one_place():
    less = declared("reference", VITS16, ["norm1", "output", at(BLOCKS[3], "ls2")])
    for (mode, place), names in less.items():
        gone = {"norm1", "output"} | ({"ls2"} if place == BLOCKS[3] else set())
        whole = declared("reference", VITS16)[mode, place]
        assert names == tuple(tap for tap in whole if tap not in gone)


def test_a_larger_structure_is_declared_with_what_it_has_besides():
    assert "ffn.gate" in declared("blocks", VARIANTS["vits16plus"])[ISOLATED, BLOCKS[0]]
    assert "ffn.gate" not in declared("blocks", VITS16)[ISOLATED, BLOCKS[0]]
