"""One checkpoint, and the file of each step, made by the commands on the session's store."""

import pytest
from dinov3_parity.fixtures.checkpoints import release
from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.parity.families import VARIANTS

GUIDE = "dinov3_vits16_pretrain_lvd1689m"


@pytest.fixture(scope="package", autouse=True)
def _on_the_store(store):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DINOV3_PARITY_STORE", str(store.root))
        yield


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("workflow")


@pytest.fixture(scope="package")
def pth(folder):
    """A checkpoint in Meta's layout, as torch writes it."""
    path = folder / "meta.pth"
    release.write(Synthetic(VARIANTS["vits16"]), path)
    return path


@pytest.fixture(scope="package")
def archive(folder, pth):
    """As the guide calls it: the ending is left to the command."""
    words = ["convert", "--variant", GUIDE, "--weights", str(pth), "--output", str(folder / GUIDE)]
    assert main(words) == 0
    return folder / f"{GUIDE}.tar.lz4"


@pytest.fixture(scope="package")
def eqx_file(folder, archive):
    path = folder / "eqx_dinov3_vits16_mapped.eqx"
    words = ["map", "--variant", GUIDE, "--weights", str(archive), "--output", str(path)]
    assert main(words) == 0
    return path


@pytest.fixture(scope="package")
def onnx_file(folder, eqx_file):
    path = folder / "eqx_dinov3_vit_S16.onnx"
    assert main(["export", "--eqx", str(eqx_file), "--output", str(path), "--img-size", "224"]) == 0
    return path
