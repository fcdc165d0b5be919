"""The progress of a pass: a live line on a terminal, a plain one now and then elsewhere."""

import io
import mmap

import psutil
import pytest
from dinov3_parity.fixtures.sweep.cost_recorder import CostRecorder, Memory
from dinov3_parity.fixtures.sweep.progress import Display
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.families.vit import VIT

VIT7B16 = VARIANTS["vit7b16"]
EMBED, *BLOCKS, HEAD = VIT.places(VIT7B16)


class Screen(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self._terminal = terminal

    def isatty(self):
        return self._terminal


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def shown(clock, terminal=False):
    lines = []
    return Display(Screen(terminal), lambda: 3 << 30, lines.append, clock), lines


def test_a_plain_line_says_block_stage_time_and_memory(clock):
    display, lines = shown(clock)
    display.tell(VIT7B16, EMBED, "reference")
    clock.now = 60.0
    display.tell(VIT7B16, BLOCKS[19], "onnx")
    assert lines == [
        "vit7b16 block 19 of 40 · onnx · 1:00 elapsed · 1:06 remaining · 3.0 GiB resident"
    ]


def test_plain_lines_are_ten_seconds_apart(clock):
    display, lines = shown(clock)
    for second in range(41):
        clock.now = float(second)
        display.tell(VIT7B16, BLOCKS[second % 40], "meta")
    assert len(lines) == 4


def test_a_line_says_which_of_the_runs_tests_it_is(clock):
    display, lines = shown(clock)
    display.turn = lambda: "test 3 of 37"
    display.tell(VIT7B16, EMBED, "reference")
    clock.now = 11.0
    display.tell(VIT7B16, BLOCKS[1], "equimo")
    assert lines[0].startswith("test 3 of 37 · vit7b16 block 1 of 40 · equimo")


def test_an_excerpt_is_told_by_the_numbers_of_the_release(clock):
    display, lines = shown(clock)
    part = VIT.subset(VIT7B16, (0, 20, 39))
    display.tell(part, EMBED, "reference")
    clock.now = 11.0
    display.tell(part, BLOCKS[1], "equimo")
    assert lines[0].startswith("vit7b16 block 20 of 40 · equimo")


def test_a_pass_that_was_taken_up_reckons_with_what_it_did_itself(clock):
    display, lines = shown(clock)
    display.tell(VIT7B16, BLOCKS[29], "reference")
    clock.now = 50.0
    display.tell(VIT7B16, BLOCKS[34], "reference")
    assert "0:50 elapsed · 1:10 remaining" in lines[0]  # 10 s a block, five blocks and the head


def test_a_terminal_has_a_live_line_and_it_is_gone_when_the_pass_has_ended(clock):
    display, lines = shown(clock, terminal=True)
    display.tell(VIT7B16, EMBED, "reference")
    assert display.stream.getvalue() == ""
    clock.now = 5.0
    display.tell(VIT7B16, HEAD, "onnx")
    display.told()
    assert "vit7b16 head · onnx" in display.stream.getvalue()
    assert display.stream.getvalue().endswith("\x1b[2K") and lines == []


def test_the_cost_recorder_sums_what_each_stage_took_by_the_releases_numbers():
    log, part = CostRecorder(), VIT.subset(VIT7B16, (0, 20, 39))
    for _ in range(2):
        with log.passing(part), log.working(part, BLOCKS[1], "onnx"):
            pass
    assert list(log.seconds["vit7b16"]["onnx"]) == ["20"]
    assert log.seconds["vit7b16"]["onnx"]["20"] > 0


def test_memory_is_the_subjects_while_it_is_the_subject():
    memory = Memory()
    memory._family = [psutil.Process()]
    memory.subject = "small"
    memory.sample()
    memory.subject = "large"
    with mmap.mmap(-1, 50 << 20) as held:  # fresh pages; the heap may have some of its own left
        held.write(b"x" * len(held))
        memory.sample()
    assert memory.peaks["large"] - memory.peaks["small"] > 45 << 20
    assert memory.peaks[""] == memory.peaks["large"]
