"""A result is written whole or not at all, and nothing of another's is replaced unasked."""

import errno
import os

import pytest
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.workflow.delivery import delivered
from dinov3_parity.parity.errors import ParityError


def test_a_different_file_is_not_replaced_unasked(archive, eqx_file, tmp_path, capsys):
    path = tmp_path / "mapped.eqx"
    path.write_text("mine")
    words = ["map", "--weights", str(archive), "--output", str(path)]
    assert main(words) == 2
    assert "--force" in capsys.readouterr().err
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]
    assert main([*words, "--force"]) == 0
    assert path.read_bytes() == eqx_file.read_bytes()
    assert main(words) == 0, "the same file again is no other file"


@pytest.mark.parametrize(
    ("name", "says"),
    [("none/made", "no folder"),
     ("folder", "is a folder"), ("v1.0", "another dot")],
)  # fmt: skip
def test_a_name_that_cannot_be_a_files_is_refused_before_any_work(
    pth, tmp_path, capsys, name, says
):
    (tmp_path / "folder.tar.lz4").mkdir()
    words = ["convert", "--weights", str(pth), "--output", str(tmp_path / name)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "--output FILE" in said and says in said
    assert [p.name for p in tmp_path.iterdir()] == ["folder.tar.lz4"]


def test_a_full_disk_leaves_what_was_there(tmp_path):
    target = tmp_path / "made.onnx"
    target.write_text("before")
    with (
        pytest.raises(ParityError, match=r"No space left on device.*--output FILE"),
        delivered(target, True) as made,
    ):
        made.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert target.read_text() == "before" and list(tmp_path.iterdir()) == [target]


def test_an_interruption_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), delivered(tmp_path / "made.onnx", False) as made:
        made.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
