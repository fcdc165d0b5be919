"""What pip installs without an extra: it holds a port against recorded references, and is small."""

import json
import os
import re
import subprocess
import venv

import pytest
from dinov3_parity.fixtures.host import extras
from dinov3_parity.fixtures.reference import portable
from dinov3_parity.parity.inputs.chosen import SMALL
from dinov3_parity.parity.inputs.drawn import EVERY

from selftests.support.documents import ROOT

#: In one worker: the environment is made once. Thorough, for the gate's main job on another Python has an
#: environment without torch, too.
pytestmark = [pytest.mark.xdist_group("light"), pytest.mark.thorough]

#: Bytes on the disk, beside the interpreter's own pip, without bytecode.
MOST = 100e6

FRAMEWORKS = {"torch", "jax", "jaxlib", "equimo", "equinox", "jax2onnx", "onnx", "onnxruntime"}


@pytest.fixture(scope="module")
def light(wheel, tmp_path_factory):
    """An environment with the wheel, and what pip brings with it."""
    folder = tmp_path_factory.mktemp("light")
    venv.create(folder, with_pip=True)
    before = weight(folder)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", wheel]
    done = subprocess.run(list(map(str, pip)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, weight(folder) - before


@pytest.fixture(scope="module")
def references(vits16, tmp_path_factory):
    path = tmp_path_factory.mktemp("references") / "references.zip"
    portable.write(path, vits16.checkpoint, [(vits16.recording(SMALL), EVERY)], "quick", 147)
    return path


def weight(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if not file.is_symlink())


def ran(folder, where, store, *words):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))}
    return subprocess.run(
        [str(folder / "bin" / "python"), *words], cwd=where, text=True, timeout=600,
        env=kept | {"DINOV3_PARITY_STORE": str(store.root)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.fixture
def theirs(tmp_path):
    """A port that needs NumPy alone: the documents' own, with another error function."""
    body = (ROOT / "docs" / "examples" / "numpy_port.py").read_text()
    own = "erf = np.vectorize(math.erf, otypes=[np.float32])"
    line = "from scipy.special import erf\n"
    assert line in body
    (tmp_path / "port.py").write_text(body.replace(line, f"import math\n\n{own}\n"))
    return tmp_path


CHECK = ("-m", "dinov3_parity.fixtures.cli.main", "check", "port.py:NumPyPort", "--json", "v.json")


def test_it_brings_no_framework_and_is_small(light):
    folder, size = light
    asked = "import json, importlib.metadata as m; print(json.dumps([d.name for d in m.distributions()]))"
    shown = subprocess.run([folder / "bin" / "python", "-c", asked], capture_output=True, text=True)
    assert not FRAMEWORKS & set(json.loads(shown.stdout)), shown.stdout
    assert 1e6 < size < MOST, f"{size / 1e6:.0f} MB"
    told = re.search(
        r"brings (\d+) MB, (\d+) to (\d+) MB with the\s+bytecode", (ROOT / "README.md").read_text()
    )
    plain, *compiled = map(int, told.groups())
    assert abs(size / 1e6 - plain) < 10 and plain < min(compiled), f"{size / 1e6:.0f} MB"


def test_it_holds_a_port_against_recorded_references(light, theirs, references, store):
    shown = ran(light[0], theirs, store, *CHECK, "-k", "blocks", f"--references={references}")
    assert shown.returncode == 0 and "check: holds: vits16: numpy holds" in shown.stdout, (
        shown.stdout
    )
    told = json.loads((theirs / "v.json").read_text())
    assert told["compared"] == told["declared"] > 200


def test_it_says_where_a_port_departs(light, theirs, references, store):
    port = theirs / "port.py"
    port.write_text(port.read_text().replace("self.variant.eps", "1e-4"))
    shown = ran(light[0], theirs, store, *CHECK, "-k", "blocks", f"--references={references}")
    assert shown.returncode == 1, shown.stdout
    told = json.loads((theirs / "v.json").read_text())
    assert told["first_divergence"]["tap"] == "norm1", told["first_divergence"]


def test_without_references_it_says_what_to_install(light, theirs, store):
    shown = ran(light[0], theirs, store, *CHECK)
    assert shown.returncode == 2, shown.stdout
    assert "Install it: pip install 'dinov3-parity[torch]'" in shown.stdout, shown.stdout
    assert "Traceback" not in shown.stdout


def test_an_onnx_file_needs_an_extra_that_it_names(light, theirs, references, store):
    (theirs / "model.onnx").write_text("whatever it is")
    words = (*CHECK[:3], "model.onnx", *CHECK[4:], f"--references={references}")
    shown = ran(light[0], theirs, store, *words)
    assert shown.returncode == 2 and "Traceback" not in shown.stdout, shown.stdout
    told = (
        "onnx and onnxruntime are not installed. Install them: pip install 'dinov3-parity[onnx]'."
    )
    assert told in shown.stdout, shown.stdout


def test_its_doctor_says_which_extra_a_stage_needs(light, theirs, store):
    shown = ran(light[0], theirs, store, *CHECK[:2], "doctor", "--no-import")
    told = re.search(r"  onnx +CANNOT RUN: .*\(pip install 'dinov3-parity\[(.*)\]'\)", shown.stdout)
    assert told and set(told[1].split(",")) == {"jax2onnx", "equimo", "onnx"}, shown.stdout
    assert re.search(r"  check +can run", shown.stdout)


def test_what_no_extra_brings_is_installed_by_its_name(monkeypatch):
    monkeypatch.setattr(extras, "_extras", lambda: {"torch": "torch", "jax": "equimo"})
    assert (
        extras.line(["torch", "scipy", "jax"]) == "pip install 'dinov3-parity[torch,equimo]' scipy"
    )
    assert extras.line(["scipy"]) == "pip install scipy"


def test_what_is_installed_is_not_missing():
    assert extras.missing(["numpy", "no-such-distribution", "no-such-distribution"]) == [
        "no-such-distribution"
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("record", "--out", "r.zip"),
        ("map",),
        ("bundle", "--out", "b"),
        ("check", "port.py:NumPyPort", "--checkpoint", "some.pth"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_that_lacks_a_package_says_which_extra_has_it(light, theirs, store, words):
    (theirs / "some.pth").write_bytes(b"none")
    shown = ran(light[0], theirs, store, *CHECK[:2], *words)
    assert shown.returncode == 2, shown.stdout
    assert "pip install 'dinov3-parity[" in shown.stdout and "Traceback" not in shown.stdout
