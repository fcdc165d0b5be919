"""What stands in a file's place and is none, or may not be read, is not waited for."""

import shutil
from pathlib import Path

import pytest

from selftests.support.hostile.places import READ, circle, fifo, read_words, unix_socket

PLACES = {
    "a folder": Path.mkdir,
    "a pipe that nobody writes to": fifo,
    "a socket": unix_socket,
    "a device without end": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "links in a circle": circle,
    "a link to a pipe": lambda path: (fifo(path.parent / "pipe"), path.symlink_to("pipe")),
}


@pytest.mark.parametrize("ending", READ)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_is_not_waited_for(room, place, ending):
    file = room.inputs / f"in.{ending}"
    PLACES[place](file)
    room.refused(
        *read_words(room, ending, file),
        file=file,
        says="here is no|holds neither",
    )


@pytest.mark.parametrize("ending", READ)
def test_a_name_longer_than_a_file_can_have_is_told(room, ending):
    file = room.inputs / f"{'n' * 300}.{ending}"
    room.refused(*read_words(room, ending, file), file=file, says="here is no|too long")


@pytest.mark.parametrize("ending", READ)
def test_a_file_that_may_not_be_read_is_told(room, bound_by_modes, ending):
    file = room.inputs / f"in.{ending}"
    sound = {"pth": room.good.pth, "safetensors": room.good.shards, "tar.lz4": room.good.archive}
    shutil.copy(sound.get(ending, getattr(room.good, ending, None)), file)
    file.chmod(0o000)
    room.refused(*read_words(room, ending, file), file=file, says="Permission denied")
