"""Whole runs in processes of their own: what they import, write, lose and blame."""

import json
import re
import shlex
import sys
from xml.etree import ElementTree

import pytest
from dinov3_parity.parity.records import lines
from dinov3_parity.parity.records.run_folder import MEASUREMENTS, RUN

WARM_ONNX = """
import sys, pytest
code = pytest.main(sys.argv[1:])
print("IMPORTED", [name for name in ("torch", "jax", "equimo", "jax2onnx") if name in sys.modules])
sys.exit(code)
"""


@pytest.fixture
def warm(vits16):
    """The store has what the ONNX tests need."""
    from dinov3_parity.parity.inputs.chosen import COVER, FILE_INPUTS
    from dinov3_parity.parity.inputs.drawn import ENDS
    from dinov3_parity.parity.inputs.strategies import PROFILES, Plan

    for drawn in Plan(PROFILES["quick"]).inputs:
        vits16.recording(drawn)
    for drawn, extent in FILE_INPUTS.values():
        vits16.recording(drawn, extent)
    for drawn in COVER:
        vits16.recording(drawn, ENDS)
    for form in ("batch", "static"):
        vits16.artifact("onnx", form)


def test_onnx_on_a_warm_store_imports_neither_torch_nor_jax(run_pytest, warm):
    shown = run_pytest("-q", "-k", "vits16 and onnx", program=("-c", WARM_ONNX))
    assert shown.code == 0, shown.out
    assert "IMPORTED []" in shown.out
    assert "compared" in shown.out


def records(folder):
    return [
        (m.variant, m.stage, m.mode, m.block, m.tap, str(m.input), m.runtime, m.layer, m.relation)
        for m in lines.read(folder / MEASUREMENTS)[0]
    ]


def told(folder):
    return json.loads((folder / RUN).read_text())


def became(folder):
    """What a run's tests were, what became of them, and what is told of each."""
    return {test["test"]: (test["outcome"], test["properties"]) for test in told(folder)["tests"]}


def test_two_workers_lose_and_double_nothing(run_pytest, warm, tmp_path):
    words = ("-k", "vits16 and (onnx or meta)", "-p", "no:cacheprovider")
    alone = run_pytest(*words)
    assert alone.code == 0, alone.out
    expected = records(tmp_path / "report")
    (tmp_path / "report").rename(tmp_path / "alone")
    shared = run_pytest(*words, "-n", "2", f"--junitxml={tmp_path / 'junit.xml'}")
    assert shared.code == 0, shared.out
    found = records(tmp_path / "report")
    assert len(expected) == len(set(expected)) > 600
    assert sorted(found, key=str) == sorted(expected, key=str)
    run = told(tmp_path / "report")
    assert run["checkpoints"]["vits16"]["kind"] == "synthetic"
    assert run["stages"]["vits16 onnx"]["runtime"].startswith("onnxruntime")
    assert run["exit"] == "ok" and run["contract"] == told(tmp_path / "alone")["contract"]
    assert re.fullmatch("[0-9a-f]{12}", run["id"]) and run["id"] != told(tmp_path / "alone")["id"]
    known = became(tmp_path / "report")
    assert known == became(tmp_path / "alone") and len(known) > 16
    assert {outcome for outcome, _ in known.values()} == {"passed"}
    assert {test["words"] for test in run["tests"]} == {""}
    _tells_the_strongest(known, lines.read(tmp_path / "report" / MEASUREMENTS)[0])
    cases = ElementTree.parse(tmp_path / "junit.xml").iter("testcase")
    for_ci = {
        case.get("name"): [(one.get("name"), one.get("value")) for one in case.iter("property")]
        for case in cases
    }
    assert {re.sub("@.*", "", name): dict(each) for name, each in for_ci.items()} == {
        name.split("::")[1]: {key: str(value) for key, value in each.items()}
        for name, (_, each) in known.items()
    }
    assert all(len(each) == len(dict(each)) for each in for_ci.values())


def _tells_the_strongest(known, found):
    """Each layer's and stage's tests tell the strongest of what was measured for just them."""
    strongest: dict[tuple[str, str], float] = {}
    for m in found:
        about = m.stage, m.layer
        strongest[about] = max(m.strength, strongest.get(about, 0.0))
    by_tests: dict[tuple[str, str], float] = {}
    for _, properties in known.values():
        if "ratio" in properties:
            about = properties["stage"], properties["layer"]
            figure = properties["ratio"] / properties["limit"]
            by_tests[about] = max(figure, by_tests.get(about, 0.0))
    assert by_tests == strongest and len(strongest) == 8


def test_what_a_killed_run_left_behind_is_not_mixed_in(run_pytest, warm, tmp_path):
    left = tmp_path / "report" / "fragments"
    left.mkdir(parents=True)
    for name in ("gw7", "0123456789ab.gw7"):
        (left / f"{name}.jsonl").write_text("left by a run that was killed\n")
        (left / f"{name}.accounts").write_text("that, too\n")
    shown = run_pytest("-k", "vits16 and meta")
    assert shown.code == 0, shown.out
    assert {m.stage for m in lines.read(tmp_path / "report" / MEASUREMENTS)[0]} == {"meta"}


NOTHING_MAPPED = """
import sys, pytest
from dinov3_parity.fixtures.stages.mapped import leaves_file
leaves_file.arrays = lambda path: {}
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_a_test_that_fails_without_measuring_is_in_run_json(run_pytest, warm, tmp_path):
    shown = run_pytest("-k", "vits16 and onnx and conversion", program=("-c", NOTHING_MAPPED))
    assert shown.code == pytest.ExitCode.TESTS_FAILED, shown.out
    run = told(tmp_path / "report")
    assert run["exit"] == "tests failed" and "vits16" in run["checkpoints"]
    assert (tmp_path / "report" / MEASUREMENTS).read_bytes() == b""
    (failed,) = (test for test in run["tests"] if test["outcome"] != "passed")
    name = "test_every_tensor_of_the_file_is_one_of_the_mapped_parameters[vits16-onnx]"
    assert failed["test"] == f"parity/test_conversion.py::{name}"
    assert (failed["outcome"], failed["seconds"] > 0) == ("failed", True)
    assert "the periods are not one of its parent's parameters" in failed["words"]
    assert failed["properties"] == {"layer": "conversion", "variant": "vits16", "stage": "onnx"}


def test_the_suites_own_tests_leave_no_report(run_pytest, tmp_path):
    shown = run_pytest("selftests/reports/test_junit.py")
    assert shown.code == 0, shown.out
    assert not (tmp_path / "report").exists()


STOPPED = """
import os
from dinov3_parity.fixtures.stages.meta.vit import Meta

class Interrupted(Meta):
    name = "stopped"
    def block(self, i, tokens, grid):
        raise KeyboardInterrupt

class Crashed(Interrupted):
    def block(self, i, tokens, grid):
        os._exit(9)
"""


def test_a_run_that_was_interrupted_says_so(run_pytest, warm, tmp_path):
    (tmp_path / "port.py").write_text(STOPPED)
    stage = f"--stage={tmp_path / 'port.py'}:Interrupted"
    shown = run_pytest(stage, "-k", "vits16 and stopped and (primitives or blocks)")
    assert shown.code == pytest.ExitCode.INTERRUPTED, shown.out
    run = told(tmp_path / "report")
    assert run["exit"] == "interrupted" and run["contract"]["missing"]
    assert {test["properties"]["layer"] for test in run["tests"]} == {"primitives"}


def test_a_worker_that_died_is_told_of_the_test_that_it_ran(run_pytest, warm, tmp_path):
    (tmp_path / "port.py").write_text(STOPPED)
    stage = f"--stage={tmp_path / 'port.py'}:Crashed"
    # After a crash pytest-xdist 3.8 waits for ever where it may start another worker.
    alone = ("-n", "1", "--max-worker-restart=0")
    shown = run_pytest(stage, "-k", "vits16 and stopped and (primitives or blocks)", *alone)
    assert shown.code == pytest.ExitCode.TESTS_FAILED, shown.out
    known = {each["layer"]: outcome for outcome, each in became(tmp_path / "report").values()}
    assert known == {"primitives": "passed", "blocks": "error"}
    words = told(tmp_path / "report")["tests"][-1]["words"]
    assert words.startswith("worker 'gw0' crashed while running")


IGNORED_MASK = """
import sys, pytest
from dinov3_parity.fixtures.stages import weight_map
weight_map.TRANSFORMS = {**weight_map.TRANSFORMS, "masked": lambda bias, mask: bias}
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_an_ignored_bias_mask_is_found_and_named_at_k_of_block_0(run_pytest, tmp_path):
    """Upstream's converter does this: it never sees the mask. The store is another one, for the
    artifact of the faulty conversion would else pass for the right one."""
    selected = "vits16 and equimo and (blocks or primitives)"
    shown = run_pytest("-k", selected, store=tmp_path / "store", program=("-c", IGNORED_MASK))
    assert shown.code == pytest.ExitCode.TESTS_FAILED, shown.out
    assert "vits16: equimo departs from meta at block 0, attn.k_proj (isolated)" in shown.out
    found = lines.read(tmp_path / "report" / MEASUREMENTS)[0]
    at_block_0 = [m for m in found if m.block == 0]
    before = {"input", "norm1", "attn.q_proj", "attn.v_proj", "attn.q"}
    assert {m.tap for m in at_block_0 if not m.passed}.isdisjoint(before)
    assert {m.tap for m in at_block_0 if m.passed} >= before
    assert all(m.passed for m in found if m.block is None)


def test_the_vocabulary_imports_numpy_and_nothing_heavier():
    import subprocess

    modules = [
        "families", "families.vit", "taps", "layers", "inputs.drawn", "yardstick", "records.measurement",
        "records.divergence", "records.contract", "breakdown", "picture", "comparator",
    ]  # fmt: skip
    code = "import sys\n" + "\n".join(f"import dinov3_parity.parity.{name}" for name in modules)
    heavy = {"torch", "jax", "onnx", "onnxruntime", "pytest"}
    code += f"\nprint(sorted(set(sys.modules) & {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


PORT = """
from dinov3_parity.fixtures.stages.meta.vit import Meta

class Right(Meta):
    name = "right"

class WrongEps(Meta):
    name = "wrong"
    def module(self, i):
        block = super().module(i)
        block.norm2.eps = 1e-6
        return block
"""


@pytest.mark.parametrize(
    ("port", "code", "words"),
    [
        ("Right", 0, "vits16: right hold"),
        ("WrongEps", 1, "vits16: wrong departs from meta at block 0, norm2 (isolated)"),
    ],
)
def test_a_port_from_a_file_is_held_against_meta(run_pytest, warm, tmp_path, port, code, words):
    (tmp_path / "port.py").write_text(PORT)
    name = "right" if port == "Right" else "wrong"
    stage = f"--stage={tmp_path / 'port.py'}:{port}"
    shown = run_pytest(stage, "-k", f"vits16 and {name}")
    assert shown.code == code, shown.out
    assert words in shown.out
    if code:  # the command that the failure ends with fails in the same way
        lines = (li for li in shown.out.splitlines() if "Reproduce:" in li and "and blocks" in li)
        line = next(lines)
        failed = [
            (e, test) for test, (e, _) in became(tmp_path / "report").items() if e != "passed"
        ]
        about = became(tmp_path / "report")[failed[0][1]][1]
        assert failed[0][0] == "failed" and about["ratio"] > about["limit"] > 1.5
        assert (about["layer"], about["block"], about["tap"]) == ("blocks", 0, "norm2")
        again = run_pytest(*shlex.split(line.split("pytest ")[1]))
        assert again.code == code and words in again.out


LACKING = """
from dinov3_parity.fixtures.stages.meta.vit import Meta

class Absent(Meta):
    name = "absent"
    def block(self, i, tokens, grid):
        return {k: v for k, v in super().block(i, tokens, grid).items() if k != "attn.v_proj"}

class Cropped(Meta):
    name = "cropped"
    def block(self, i, tokens, grid):
        shown = super().block(i, tokens, grid)
        return shown | {"attn.context": shown["attn.context"][:, :-1]}

class Broadcast(Meta):
    name = "broadcast"
    def block(self, i, tokens, grid):
        shown = super().block(i, tokens, grid)
        return shown | {"norm1": shown["norm1"][:1]}

class Honest(Absent):
    name = "honest"
    absent = {"attn.v_proj": "its projection is fused with the attention"}
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Absent", "block 0, attn.v_proj (isolated): absent: declared for this stage, not shown"),
        ("Cropped", "block 0, attn.context (isolated): of another shape: (2, 20, 384), expected"),
        ("Broadcast", "block 0, norm1 (isolated): of another shape: (1, 21, 384), expected"),
    ],
)
def test_a_port_that_shows_less_than_declared_fails_in_words(
    run_pytest, warm, tmp_path, name, words
):
    (tmp_path / "port.py").write_text(LACKING)
    selected = ("-k", f"vits16 and {name.lower()} and blocks", "--reproduce", "B2 2x8 seed=1")
    shown = run_pytest(f"--stage={tmp_path / 'port.py'}:{name}", *selected)
    assert shown.code == pytest.ExitCode.TESTS_FAILED
    assert words in shown.out
    assert "compared 216 of 228 declared taps" in shown.out
    assert "declared and not compared: 12 taps" in shown.out


def test_a_port_may_say_why_it_cannot_show_a_tap(run_pytest, warm, tmp_path):
    (tmp_path / "port.py").write_text(LACKING)
    selected = ("-k", "vits16 and honest and blocks", "--reproduce", "B2 2x8 seed=1")
    shown = run_pytest(f"--stage={tmp_path / 'port.py'}:Honest", *selected)
    assert shown.code == 0, shown.out
    assert "compared 216 of 216 declared taps" in shown.out
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Not shown: attn.v_proj, its projection is fused with the attention" in page


WRONG_ON_LARGE_INPUTS = """
from dinov3_parity.fixtures.stages.meta.vit import Meta

class Port(Meta):
    name = "rowwise"
    def block(self, i, tokens, grid):
        shown = super().block(i, tokens, grid)
        if i == 7 and grid[1] >= 3 and len(tokens) >= 3:
            shown["ffn.up"][1, 2, 5] += 0.1
        return shown
"""


@pytest.mark.thorough
def test_a_drawn_failure_shrinks_to_a_line_that_repeats_it(run_pytest, warm, tmp_path):
    """The fault shows from three images and three columns on; the search ends at just those."""
    (tmp_path / "port.py").write_text(WRONG_ON_LARGE_INPUTS)
    stage = f"--stage={tmp_path / 'port.py'}:Port"
    selected = ("-k", "vits16 and rowwise and blocks")
    searched = ("--hypothesis-profile=thorough", "--hypothesis-seed=3")
    shown = run_pytest(stage, *selected, *searched)
    assert shown.code == pytest.ExitCode.TESTS_FAILED, shown.out
    assert "vits16: rowwise departs from meta at block 7, ffn.up (isolated)" in shown.out
    assert "channel 5 of 1536 holds" in shown.out
    lines = [line for line in shown.out.splitlines() if "--reproduce 'B3 1x3 seed=0'" in line]
    assert lines, shown.out
    again = run_pytest(stage, *shlex.split(lines[0].split("pytest ")[1]))
    assert again.code == pytest.ExitCode.TESTS_FAILED
    assert "block 7, ffn.up" in again.out


def test_a_line_that_is_no_input_is_told_in_a_paragraph(run_pytest):
    shown = run_pytest("-k", "vits16", "--reproduce", "B1 seed=3")
    assert shown.code == pytest.ExitCode.USAGE_ERROR
    assert "'B1 seed=3' is not an input" in shown.out and "Traceback" not in shown.out


def test_updating_snapshots_in_several_processes_is_refused(run_pytest):
    shown = run_pytest("-k", "vits16", "--snapshot-update", "-n", "2")
    assert shown.code == pytest.ExitCode.USAGE_ERROR
    assert "--snapshot-update together with -n" in shown.out


def test_a_port_that_is_not_there_is_told_in_a_paragraph(run_pytest, tmp_path):
    shown = run_pytest(f"--stage={tmp_path / 'none.py'}:Port", "-k", "vits16")
    assert shown.code == pytest.ExitCode.USAGE_ERROR
    assert "write path/to/module.py:Name" in shown.out and "Traceback" not in shown.out
