"""Layer 1: every parameter of a stage is accounted for, bit by bit."""

from collections import Counter

import numpy as np
import pytest
import xxhash
from dinov3_parity.parity.families import family_of


def bits(value: np.ndarray) -> str:
    """Identity of the numbers of a tensor, whatever its shape."""
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(value).data)


@pytest.mark.weights("table")
def test_every_parameter_comes_bit_equal_from_the_stage_before(stage, parent):
    sources, shown, table = parent.parameters(), stage.parameters(), stage.table()
    table.account(sources, {name: value.shape for name, value in shown.items()})
    for transfer in table.transfers:
        expected = transfer.apply(sources)
        assert expected.tobytes() == shown[transfer.target].tobytes(), (
            f"{transfer} is not bit-equal"
        )


@pytest.mark.weights("table")
def test_mapping_table(stage, snapshot):
    table = stage.table()
    unused = [f"unused: {name} ({reason})" for name, reason in table.unused.items()]
    assert "\n".join([*map(str, table.transfers), *unused]) == snapshot


@pytest.mark.weights("file")
def test_every_tensor_of_the_file_is_one_of_the_mapped_parameters(
    stage, parent_file, checkpoint, variant
):
    """Rope tables are the only float tensors that are computed; the layers above measure those."""
    (rope,) = (t for t in family_of(variant).tensors(variant) if t.role == "rope.periods")
    periods = bits(checkpoint[rope.name])  # stored only where rope is computed
    parameters = {name: bits(value) for name, value in parent_file.items() if value.ndim}
    stored = {name: bits(value) for name, value in stage.parameters().items()}
    expected, found = Counter(parameters.values()), Counter(stored.values())
    assert expected.pop(periods, 0) == 1, "the periods are not one of its parent's parameters"
    assert found.pop(periods, 0) == 1, "the periods are not stored once in the file"
    lost = [name for name, value in parameters.items() if value not in {*found, periods}]
    strange = [name for name, value in stored.items() if value not in {*expected, periods}]
    assert (lost, strange) == ([], [])
    assert found == expected, "a parameter is stored more often, or less, than it is used"


def test_operators_and_signature_of_the_file(exported, snapshot):
    """What a change of jax2onnx would show first: a norm taken apart, a GELU unfused."""
    assert "\n".join(exported.anatomy()) == snapshot
