"""An input is replayed exactly by the one line that names it."""

import importlib

import numpy as np
import pytest
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.inputs.chosen import TRAPS
from dinov3_parity.parity.inputs.drawn import CONTENTS, Input, parse
from dinov3_parity.parity.inputs.strategies import PROFILES, QUICK_SEED, Plan, made
from hypothesis import given, settings
from hypothesis import strategies as st

inputs = st.builds(
    Input,
    st.integers(1, 4),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.integers(0, 2**31),
    st.sampled_from(sorted(CONTENTS)),
    st.sampled_from([1e-3, 1.0, 2.5, 100.0]),
)


@given(inputs)
def test_the_line_of_an_input_reads_back_as_it(drawn):
    assert parse(str(drawn)) == drawn


@given(inputs)
def test_the_same_line_is_the_same_array(drawn):
    images = drawn.images()
    assert images.shape == (drawn.batch, 3, 16 * drawn.grid[0], 16 * drawn.grid[1])
    assert images.dtype == np.float32
    assert np.array_equal(images, parse(str(drawn)).images())


@pytest.mark.parametrize("line", ["", "B0 2x2 seed=1", "B1 2x2", "B1 2x2 seed=1 noise scale=1"])
def test_a_line_that_is_none_is_refused_in_words(line):
    with pytest.raises(ParityError, match="is not an input"):
        parse(line)


def test_a_seed_draws_the_same_whatever_modules_are_loaded(tmp_path, monkeypatch):
    """Hypothesis mixes constants of loaded modules, up to 1,024 of each, into what it draws."""
    every = settings(PROFILES["thorough"], max_examples=200)
    before = Plan(every, seed=1, pinned=(), area=400).inputs
    (tmp_path / "many_constants.py").write_text(f"x = {list(range(101, 9999, 11))}")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("many_constants")
    assert Plan(every, seed=1, pinned=(), area=400).inputs == before
    assert max(one.seed for one in before) > 9000


def test_what_is_pinned_and_what_is_drawn_show_what_one_square_image_hides():
    """Rows and columns exchanged, an image of a batch mixed up with another, rope that does nothing."""
    uneven = lambda drawn: 1 < drawn.grid[0] != drawn.grid[1] > 1
    assert any(uneven(one) and one.batch > 1 for one in TRAPS)
    for profile, count in (("quick", None), ("thorough", 20)):
        drawn = [one for one in made(profile, count, QUICK_SEED).inputs if one not in TRAPS]
        assert any(uneven(one) for one in drawn) and any(one.batch > 1 for one in drawn)
        assert len({one.content for one in drawn}) > 2
