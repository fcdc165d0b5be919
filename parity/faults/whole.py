"""Mistakes of a model as its users call it: wrong for some sizes, some images, some calls alone.

Its blocks may be right. An edit keeps what it remembers between calls, so each is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dinov3_parity.parity.faults import whole_edits as edits
from dinov3_parity.parity.faults import whole_state as state
from dinov3_parity.parity.faults.whole_edits import Edit

#: Who finds a mistake: the layer that holds every input against Meta, or a relation, by its name.
WHOLE = "whole"


@dataclass(frozen=True)
class WholeFault:
    """One mistake; ``make`` gives its edit, with nothing remembered, and ``found_by`` says who has to
    find it: ``whole``, or the relation of ``parity.relations`` of that name."""

    name: str
    words: str
    make: Callable[[], Edit]
    found_by: str = WHOLE


AGAIN, AFTER, SINGLY = "the same call twice", "after other calls", "image by image"
TURNED, OTHER, FIRST = "images in another order", "mirrored images", "other images after the first"
UNWRITTEN, STAYS = "images are only read", "results stay"
NAN, BLOCKS, WEIGHTS = "a pixel that is no number", "the whole is its blocks", "another's weights"
REMAINDER = "sizes between"

FAULTS = (
    *(
        WholeFault(
            f"columns beyond {n}",
            f"a table of positions for {n} columns, its last repeated",
            edits.wide(n),
        )
        for n in (16, 20, 32, 40, 64)
    ),
    *(
        WholeFault(
            f"rows beyond {n}",
            f"a table of positions for {n} rows, its last repeated",
            edits.wide(n, 2),
        )
        for n in (16, 20, 32)
    ),
    *(
        WholeFault(
            f"patches beyond {n}", f"a buffer for {n} patches, the others left empty", edits.many(n)
        )
        for n in (196, 256, 400, 1024)
    ),
    WholeFault(
        "fewer than 8 patches",
        "a kernel for small images that forgets the last patch",
        edits.fewer(8),
    ),
    WholeFault("odd columns", "tiles of two patches, the last column not read", edits.odd(3)),
    WholeFault("odd rows", "tiles of two patches, the last row not read", edits.odd(2)),
    WholeFault(
        "upright images turned",
        "rows and columns exchanged where rows are more",
        edits.on_images(edits.upright),
    ),
    WholeFault(
        "squares alone",
        "what is beyond the shorter side is not read",
        edits.on_images(edits.squares),
    ),
    WholeFault(
        "a fifth image",
        "a batch of four at most, the others computed as the first",
        edits.batch(4, 0),
    ),
    WholeFault(
        "a third image",
        "a batch of two at most, the others computed as the second",
        edits.batch(2, -1),
    ),
    WholeFault(
        "images in pairs",
        "the last of an odd number computed as the first",
        edits.on_images(edits.even_batch),
    ),
    WholeFault("values beyond 10 clipped", "against overflow", edits.clipped(10)),
    WholeFault("values beyond 500 clipped", "against overflow", edits.clipped(500)),
    WholeFault(
        "an image of one colour is empty",
        "its patches were taken for padding",
        edits.on_images(edits.constant_is_empty),
    ),
    WholeFault(
        "a faint image is empty",
        "its patches were taken for padding",
        edits.on_images(edits.faint_is_empty),
    ),
    WholeFault(
        "large values taken for bytes",
        "divided by 255 where they look like pixels",
        edits.on_images(edits.bytes_guessed),
    ),
    WholeFault(
        "positive values taken for pixels",
        "normalized where nothing is below zero",
        edits.on_images(edits.unit_guessed),
    ),
    WholeFault(
        "far statistics normalized",
        "an image by its own deviation where that is unusual",
        edits.on_images(edits.normalized_again),
    ),
    WholeFault(
        "small values flushed",
        "numbers below 0.001 taken for zero",
        edits.on_images(edits.denormal),
    ),
    WholeFault(
        "images in half precision",
        "beyond 65,504 they overflow, all are rounded",
        edits.on_images(edits.in_float16),
    ),
    WholeFault(
        "patches by columns",
        "the whole model hands patches out column by column",
        edits.on_taps(edits.transposed_patches),
    ),
    WholeFault(
        "patches reversed",
        "the whole model hands patches out from the last",
        edits.on_taps(edits.reversed_patches),
    ),
    WholeFault(
        "patches from one too early",
        "the last register was taken for a patch",
        edits.on_taps(edits.one_off),
    ),
    WholeFault(
        "registers of the whole reversed",
        "handed out from the last",
        edits.on_taps(edits.registers_reversed),
    ),
    WholeFault(
        "registers of the first image",
        "handed out for every image",
        edits.on_taps(edits.registers_of_first),
    ),
    WholeFault(
        "registers pooled with patches",
        "the mean is of all but cls",
        edits.on_taps(edits.registers_pooled),
    ),
    WholeFault(
        "cls pooled with patches",
        "the mean is of all but the registers",
        edits.on_taps(edits.cls_pooled),
    ),
    WholeFault(
        "cls of the first image", "handed out for every image", edits.on_taps(edits.cls_of_first)
    ),
    WholeFault(
        "images mixed",
        "a thousandth of the batch's mean in every cls",
        edits.on_taps(edits.mean_of_batch),
    ),
    WholeFault(
        "cls of length one", "normalized for search", edits.on_taps(edits.normalized("cls"))
    ),
    WholeFault(
        "patches of length one", "normalized for search", edits.on_taps(edits.normalized("patches"))
    ),
    *(
        WholeFault(
            f"{tap} handed out in half precision",
            "cast for the wire",
            edits.on_taps(edits.rounded(tap)),
        )
        for tap in ("cls", "patches", "registers", "pooled")
    ),
    WholeFault(
        "rope table by the number of patches",
        "4×4 after 2×8 is given that one's",
        state.table_by_count,
    ),
    WholeFault("rope table of the first grid", "made once, cut to size", state.first_table),
    WholeFault(
        "result by shape",
        "what was kept is given back for another image",
        state.kept(state.shape_of_batch),
    ),
    WholeFault(
        "result by size and batch",
        "what was kept is given back for another image",
        state.kept(state.of_size),
    ),
    WholeFault(
        "result by the first image",
        "a batch is known by its first image",
        state.kept(state.of_first_image),
        FIRST,
    ),
    WholeFault(
        "result by the mean", "images are known by their mean", state.kept(state.of_mean), OTHER
    ),
    WholeFault(
        "result of one image by shape",
        "kept where the batch is one",
        state.kept(state.shape_of_batch, lambda images: len(images) == 1),
        SINGLY,
    ),
    WholeFault(
        "first call apart",
        "a kernel is chosen at the first call, by a slower one",
        state.by_call(lambda k: k == 1),
    ),
    WholeFault(
        "second call apart",
        "from the second call on a compiled program",
        state.by_call(lambda k: k > 1),
    ),
    WholeFault(
        "every third call",
        "one of three workers has other weights",
        state.by_call(lambda k: k % 3 == 0),
    ),
    WholeFault(
        "every seventh call",
        "one of seven workers has other weights",
        state.by_call(lambda k: k % 7 == 0),
    ),
    WholeFault(
        "calls in turn", "every second call by another program", state.by_call(lambda k: k % 2 == 0)
    ),
    WholeFault(
        "results kept in half precision",
        "right at first, rounded for who asks again",
        state.kept_in_half,
        AGAIN,
    ),
    WholeFault(
        "the last result that was kept",
        "asked again after others, it returns theirs",
        state.kept_last,
        AFTER,
    ),
    WholeFault(
        "result by the set of images",
        "in whatever order they are",
        state.kept(state.of_images),
        TURNED,
    ),
    WholeFault(
        "statistics of every call", "a running mean is updated, as in training", state.drifting
    ),
    WholeFault(
        "results in one buffer",
        "the next call writes into what was handed out",
        state.one_buffer,
        STAYS,
    ),
    WholeFault(
        "buffer of a larger image", "what was in it is added to the next image", state.left_over
    ),
    WholeFault(
        "images written into", "its own place is the scratch", lambda: state.written_into, UNWRITTEN
    ),
    WholeFault("no number swallowed", "NaN taken for zero", edits.on_images(edits.finite), NAN),
    WholeFault(
        "filled up with zeros",
        "what is left of a patch becomes one, the rest of it zeros",
        edits.on_images(edits.filled_up),
        REMAINDER,
    ),
    WholeFault(
        "filled up by the edge",
        "what is left of a patch becomes one, the last pixel repeated",
        edits.on_images(edits.filled_by_edge),
        REMAINDER,
    ),
    WholeFault(
        "cut in the middle",
        "what is left of a patch is cut away on both sides",
        edits.on_images(edits.cut_in_the_middle),
        REMAINDER,
    ),
    WholeFault(
        "resized to whole patches",
        "every size is made a multiple of the patch by the nearest pixels",
        edits.on_images(edits.resized),
        REMAINDER,
    ),
    WholeFault(
        "a table of the class",
        "what one instance has kept another is given",
        state.across_instances(),
        WEIGHTS,
    ),
)


def whole_faults() -> Mapping[str, WholeFault]:
    """The mistakes by name."""
    return MappingProxyType({fault.name: fault for fault in FAULTS})
