"""A bundle of one block, and processes to run its files in."""

import shutil
from pathlib import Path

import pytest
from dinov3_parity.fixtures.checkpoints.block_subset import BlockSubset
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.matrix import bundle as making
from dinov3_parity.fixtures.pipeline.pipeline import Pipeline
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.runtimes.isolated import ChildRunner


@pytest.fixture(scope="package")
def pipe(store):
    part = BlockSubset(Synthetic(VARIANTS["vits16"]), (0,))
    return Pipeline(part.variant, part, store)


@pytest.fixture(scope="package")
def folder(pipe, tmp_path_factory):
    """A bundle of one block: opset 21, and the file that kills every onnxruntime."""
    maker = making.Maker(pipe, tmp_path_factory.mktemp("bundle") / "new")
    maker.exports((21,), ("static",), seed=0, count=1)
    maker.deadly(seed=0)
    maker.low_precision()
    return maker.finish("one block").parent


@pytest.fixture
def copied(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture(scope="package")
def runner():
    runner = ChildRunner()
    yield runner
    runner.close()
