"""Measurements of a block that holds, and of one in which taps depart."""

from dinov3_parity.parity.families.vit import VIT
from dinov3_parity.parity.inputs.drawn import Input
from dinov3_parity.parity.records.measurement import ISOLATED, measurement
from dinov3_parity.parity.yardstick import Comparison
from msgspec.structs import replace

PARENTS = {"meta": "", "mapped": "equimo", "onnx": "mapped"}  # of all others, meta


def taken(tap, ratio, block=0, stage="equimo", mode=ISOLATED, problem=""):
    comparison = Comparison(
        ratio=ratio, floor=1e-7, floor_setter="meta", floor_alone=1e-7, max_abs=1e-6,
        max_abs_index=(0,), rel_max=1e-6, cosine=1.0, limit=4.0, token=(0, 0), token_ratio=ratio,
        token_limit=6.0, problem=problem,
    )  # fmt: skip
    return measurement(
        comparison, Input(1, (2, 2)), family="vit", variant="vits16", stage=stage,
        parent=PARENTS.get(stage, "meta"), mode=mode,
        place=VIT.taps[tap].part if block is None else f"block {block}", tap=tap, runtime="",
        fault=None, layer="blocks",
    )  # fmt: skip


def clean(block=0):
    return [taken(tap.name, 0.9, block) for tap in VIT.taps.values() if tap.part == "block"]


def with_faults(**ratios):
    return [
        replace(m, ratio=ratios[m.tap], token_ratio=ratios[m.tap], passed=False)
        if m.tap in ratios
        else m
        for m in clean()
    ]
