"""A repository of somebody else's holds its port in its own CI: by the job of docs/ci.md as it stands.

The job's words are given to ``.github/workflows/hold.yml``, whose commands run in the environment that
has the built wheel, in a folder that has the port and nothing of this checkout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from dinov3_parity.parity.inputs.chosen import SMALL
from junitparser import JUnitXml

from selftests.support.documents import ROOT, blocks
from selftests.support.records.json_schema import wrong
from selftests.support.workflows import Job, read

WORKFLOWS = (".github/workflows/hold.yml", "docs/examples/github-matrix.yml")

#: Words of the caller's own: one input, whose reference the store has.
OPTIONS = f"-k\nblocks\n--reproduce\n{SMALL}"

#: The line of the example that the port gets wrong, and how it does.
RIGHT = "hidden = up * (1 + erf(up * np.float32(2**-0.5))) / 2"
BY_TANH = "hidden = up * (1 + np.tanh(0.7978845608 * (up + 0.044715 * up**3))) / 2"


def shown() -> str:
    """The workflow of docs/ci.md."""
    (block,) = (block for block in blocks("docs/ci.md") if block.language == "yaml")
    return block.text


@pytest.fixture
def theirs(tmp_path):
    """A repository with a package, whose GELU goes by tanh."""
    repository = tmp_path / "theirs"
    package = repository / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    port = (ROOT / "docs/examples/numpy_port.py").read_text()
    assert RIGHT in port
    port = port.replace("class NumPyPort", "class MyPort").replace('"numpy"', '"mine"')
    (package / "parity.py").write_text(port.replace(RIGHT, BY_TANH))
    (repository / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "my-package"\nversion = "1"\n'
        '[tool.setuptools]\npackages = ["my_package"]\n'
    )
    return repository


@pytest.fixture
def ran(theirs, wheel, python, store):
    """The job of the document, with other words where they are given; what pip installs beside the wheel
    and the package is this environment's own."""
    job = read(shown())["jobs"]["parity"]
    path = job["uses"].partition("@")[0].partition("/dinov3-parity/")[2]
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON", "GITHUB_"))
    }
    environment = kept | {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "PIP_NO_DEPS": "1",
        "DINOV3_PARITY_STORE": str(store.root),
    }  # fmt: skip

    def run(**given: str) -> Job:
        words = job["with"] | {"suite": str(wheel), "index": ""} | given
        workflow = read((ROOT / path).read_text("utf-8"))
        return Job(workflow, "hold", words, theirs, environment).run()

    return run


@pytest.mark.thorough
def test_the_job_of_the_document_tells_where_their_port_departs_and_when_it_holds(ran, theirs):
    """A port that departs, in full detail; mended, it holds."""
    done = ran(options=OPTIONS)
    assert done.failed == [("Check", 1)], done.printed
    told = json.loads((theirs / "dinov3-parity/verdict.json").read_text())
    assert wrong(told, json.loads((ROOT / "docs/schema/verdict.json").read_text())) == []
    first = told["first_divergence"]
    assert (told["exit"], first["stage"], first["place"], first["tap"]) == (
        1, "mine", "block 0", "ffn.hidden",
    )  # fmt: skip
    assert done.outputs["verdict"] == {"verdict": "departs"}
    (suite,) = JUnitXml.fromfile(str(theirs / "dinov3-parity/junit.xml"))
    (failed,) = (case for case in suite if case.is_failure)
    assert suite.failures == 1 and "ffn.hidden" in failed.result[0].text
    assert "mine departs from meta at block 0" in done.summary
    assert "::error title=vits16%3A mine departs at block 0%2C ffn.hidden::" in done.printed
    assert len(done.outputs["key"]["key"]) == 16
    assert (theirs / "dinov3-parity/report/index.html").is_file()

    port = theirs / "my_package" / "parity.py"
    port.write_text(port.read_text().replace(BY_TANH, RIGHT))
    done = ran(options=OPTIONS)
    assert done.failed == [], done.printed
    assert done.outputs["verdict"] == {"verdict": "holds"} and "✅ holds" in done.summary


def test_a_job_that_could_not_run_says_why_where_it_is_read(ran):
    done = ran(port="my_package.parity:Prot", variant="vits16 vitb16")
    assert done.failed == [("Check", 2)], done.printed
    assert done.outputs["verdict"] == {"verdict": "could not run"}
    assert "::error title=DINOv3 parity could not run::" in done.printed
    assert "has no Prot" in done.summary


@pytest.mark.parametrize("name", [*WORKFLOWS, "docs/ci.md"])
def test_a_workflow_is_of_githubs_schema(name, tmp_path):
    file = tmp_path / "workflow.yml"
    file.write_text(shown() if name.endswith(".md") else (ROOT / name).read_text("utf-8"))
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
    ]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_line_of_a_workflow_runs_what_a_caller_said(name):
    """In a line of the shell ``${{ inputs… }}`` would be run as it stands."""
    jobs = read((ROOT / name).read_text("utf-8"))["jobs"].values()
    lines = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    assert lines and not [
        line for line in lines if "${{ inputs" in line or "${{ github.event" in line
    ]
