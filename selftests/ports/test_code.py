"""What a port's own code does wrong is told with its own line."""

import re
import shlex

import numpy as np
import pytest
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.inputs.chosen import SMALL

from selftests.support.stages.brought import ONE, given, in_a_paragraph, opened, spoiled


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            "def __init__(self, *_):\n        self.x = {}['weight']",
            "__init__ of Port raised KeyError",
        ),
        ("def __init__(self): ...", "__init__ of Port raised TypeError"),
        ("def describe(self): return None", "returned a NoneType. Return what it runs on"),
        ("def describe(self): return {}", "returned a dict without a runtime"),
        ("def describe(self): return {'runtime': 3}", "returned a dict without a runtime"),
        ("def describe(self): return 1 / 0", "describe() of Port raised ZeroDivisionError"),
    ],
)
def test_what_does_not_open_is_told_with_its_line(tmp_path, store, lines, words):
    with pytest.raises(ParityError) as caught:
        opened(tmp_path, store, lines)
    told = in_a_paragraph(caught.value)
    assert words in told and re.search(r"port\.py:\d+", told), told
    assert "fixtures/" not in told


CALLS = {
    "embed": lambda stage: stage.embed(ONE.images()),
    "block": lambda stage: stage.block(1, np.zeros((1, 6, 384), np.float32), (1, 1)),
    "head": lambda stage: stage.head(np.zeros((1, 6, 384), np.float32)),
    "features": lambda stage: stage.features(ONE.images()),
}


@pytest.mark.parametrize("method", list(CALLS))
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return {}['no such weight']", "raised KeyError: 'no such weight', at "),
        ("return [1, 2]", "returned a list. Return a dict"),
        ("return None", "returned a NoneType. Return a dict"),
        (
            "import torch; return {'tokens': torch.zeros(1), 'cls': torch.zeros(1)}",
            "returned a torch.Tensor for tokens, cls. Return NumPy float32 arrays",
        ),
        ("import sys; sys.exit(3)", "raised SystemExit: 3, at "),
    ],
)
def test_what_a_method_does_wrong_is_told_with_its_line(tmp_path, store, method, body, words):
    stage = opened(tmp_path, store, f"def {method}(self, *given):\n        {body}")
    with pytest.raises(ParityError) as caught:
        CALLS[method](stage)
    told = in_a_paragraph(caught.value)
    assert words in told and f"mine: {method}() of Port" in told
    assert re.search(r"port\.py:9, in" if "raised" in words else r"port\.py:8\)", told), told


def test_the_deepest_line_of_the_port_is_named_and_not_a_librarys(tmp_path, store):
    lines = (
        "def head(self, tokens):\n"
        "        return self._deeper()\n"
        "def _deeper(self):\n"
        "        import json; return json.loads('{')"
    )
    with pytest.raises(ParityError, match=r"port\.py:11, in _deeper"):
        opened(tmp_path, store, lines).head(np.zeros((1, 6, 384), np.float32))


def test_what_a_chain_goes_on_from_is_missed_in_words(tmp_path, store):
    stage = opened(tmp_path, store, "def embed(self, images): return {}")
    shown = stage.embed(ONE.images())
    assert shown.get("patch_embed") is None
    with pytest.raises(ParityError, match="returned no tokens"):
        shown["tokens"]


def test_a_port_may_write_into_what_it_is_given(tmp_path, store):
    lines = "def head(self, tokens):\n        tokens *= 0\n        return {'norm': tokens}"
    tokens = np.ones((1, 6, 384), np.float32)
    assert not opened(tmp_path, store, lines).head(tokens)["norm"].any() and tokens.all()


BROKEN = """
@property
def trouble(self): raise OSError("no such device")
def block(self, i, tokens, grid):
        return self.trouble if grid[1] > 1 else super().block(i, tokens, grid)
""".strip()


def test_a_port_that_raises_in_a_run_fails_in_its_own_words(run_pytest, tmp_path):
    stage = spoiled(tmp_path, BROKEN)
    shown = run_pytest("--stage", stage, "-k", "vits16 and mine and blocks")
    assert shown.code == pytest.ExitCode.TESTS_FAILED, shown.out
    assert "mine: block() of Port raised OSError: no such device, at " in shown.out
    assert "port.py:9, in trouble" in shown.out
    for ours in ("Traceback", "fixtures/", "INTERNALERROR", "parity/comparator.py", "Falsifying"):
        assert ours not in shown.out, shown.out
    line = next(one for one in shown.out.splitlines() if one.startswith("Reproduce: "))
    again = run_pytest(*shlex.split(line.removeprefix("Reproduce: pytest ")))
    assert again.code == pytest.ExitCode.TESTS_FAILED
    assert "no such device" in again.out


def test_a_port_that_lacks_methods_is_told_before_anything_runs(run_pytest, tmp_path):
    stage = given(tmp_path, "class Port:\n    def embed(self, images): ...")
    for more in ((), ("-n", "2")):
        shown = run_pytest("--stage", stage, "-k", "vits16 and port", *more)
        assert shown.code == pytest.ExitCode.USAGE_ERROR
        assert "no block, no head, no features, no describe" in shown.out
        assert "INTERNALERROR" not in shown.out and "Traceback" not in shown.out


def test_taps_declared_absent_are_missed_by_no_layer(run_pytest, tmp_path):
    stage = spoiled(
        tmp_path,
        "absent = {'residual1': 'the sum is fused', 'attn.probs': 'fused'}\n"
        "def block(self, i, tokens, grid):\n"
        "        shown = super().block(i, tokens, grid)\n"
        "        return {k: v for k, v in shown.items() if k not in self.absent}",
    )
    shown = run_pytest(
        "--stage", stage, "-k", "vits16 and mine and (blocks or backbone)",
        "--reproduce", str(SMALL),
    )  # fmt: skip
    assert shown.code == 0, shown.out
    whole = 12 * 19 + 12 * 3 + 5
    assert f"compared {whole - 36} of {whole - 36} declared taps" in shown.out
