"""Code in a pickle, of every kind that pickle has, is not run."""

import pytest

from selftests.support.hostile.pth import after, pickled

_RUN = {
    "a call of os.system": lambda order: b"cos\nsystem\n(S'%s'\ntR." % order,
    "a call by its C module": lambda order: b"cposix\nsystem\n(S'%s'\ntR." % order,
    "a name from the stack": lambda order: (
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + bytes([len(order)]) + order + b"\x85R."
    ),
    "eval": lambda order: b'cbuiltins\neval\n(S\'__import__("os").system("%s")\'\ntR.' % order,
    "exec": lambda order: b"cbuiltins\nexec\n(S'import os; os.system(\"%s\")'\ntR." % order,
    "getattr of a permitted module": lambda order: (
        b"cbuiltins\ngetattr\n(ctorch._utils\n_rebuild_tensor_v2\nS'__globals__'\ntR."
    ),
    "an old instance": lambda order: b"(S'%s'\nios\nsystem\n." % order,
    "an old object": lambda order: b"(cos\nsystem\nS'%s'\no." % order,
    "a new object": lambda order: b"csubprocess\nPopen\n((S'touch'\nS'x'\nltt\x81.",
    "torch.load of another file": lambda order: b"ctorch\nload\n(S'other.pth'\ntR.",
    "a library of the attacker's": lambda order: b"cctypes\nCDLL\n(S'/tmp/evil.so'\ntR.",
    "an extension's code": lambda order: b"\x82\x01.",
}


@pytest.mark.parametrize("kind", _RUN)
def test_a_pickle_with_code_is_not_run(room, kind):
    file = room.inputs / "in.pth"
    pickled(file, _RUN[kind](room.order.encode()))
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file,
                 says="Nothing of it was run|cannot be read")  # fmt: skip


@pytest.mark.parametrize("kind", ["a call of os.system", "a name from the stack", "eval"])
def test_code_behind_a_sound_state_dict_is_not_run(room, kind):
    file = room.inputs / "in.pth"
    program = _RUN[kind](room.order.encode()).removeprefix(b"\x80\x04")
    pickled(file, after(room.good.pth, program[:-1]), room.good.pth)
    room.refused("convert", "--weights", file, "--output", room.out / "made", file=file,
                 says="Nothing of it was run")  # fmt: skip
