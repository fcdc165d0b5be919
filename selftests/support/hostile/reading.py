"""What the commands read of an .eqx."""

from selftests.support.hostile.room import SMALL, paragraph


def read_leaves(file):
    """What the commands read of a file; None where they refuse it, in a paragraph."""
    from dinov3_parity.fixtures.graphs import pytrees
    from dinov3_parity.fixtures.stages.mapped import vit as mapped
    from dinov3_parity.fixtures.workflow import leaves as reader
    from dinov3_parity.parity.errors import ParityError

    try:
        model = reader.read(file, mapped.skeleton(SMALL), "jax2onnx's example of small")
    except ParityError as error:
        paragraph(f"dinov3-parity: {error}", file)
        return None
    return pytrees.parameters(model)
