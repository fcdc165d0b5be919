"""Where results go: what stands there is kept, and what cannot be written is told."""

import shutil

import pytest

from selftests.support.hostile.places import circle, fifo, unix_socket
from selftests.support.hostile.room import paragraph


def _before(path):
    path.write_text("before")


TARGETS = {
    "a file of something else": _before,
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "links in a circle": circle,
    "a link to a device": lambda path: path.symlink_to("/dev/null"),
    "a link to a file elsewhere": lambda path: path.symlink_to(path.parents[1] / "in" / "mine"),
    "a pipe": fifo,
    "a socket": unix_socket,
}


@pytest.mark.parametrize("stands", TARGETS)
def test_what_stands_in_a_results_place_is_not_written_through(room, stands):
    _before(room.inputs / "mine")
    made = room.out / "made.eqx"
    TARGETS[stands](made)
    room.look()
    kept = made.lstat().st_ino, made.lstat().st_size
    told = room.told("map", "--weights", room.good.archive, "--output", made)
    assert told.code == 2 and "--force" in told.err
    paragraph(told.err.strip(), made)
    assert (made.lstat().st_ino, made.lstat().st_size) == kept
    room.unchanged()
    words = ["map", "--weights", room.good.archive, "--output", made, "--force"]
    assert room.told(*words).code == 0
    assert not made.is_symlink() and made.read_bytes() == room.good.eqx.read_bytes()
    room.unchanged()


MADE = {
    "convert": lambda room: ["convert", "--weights", room.good.pth],
    "map": lambda room: ["map", "--weights", room.good.archive],
    "export": lambda room: ["export", "--eqx", room.good.eqx],
}


@pytest.mark.parametrize("command", MADE)
def test_a_disk_that_takes_no_more_is_told(room, command):
    """A limit of sizes in the disk's stead: the kernel refuses in the same way."""
    import resource

    file = room.out / "made"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    words = [*MADE[command](room), "--output", file]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        room.refused(*words, file=file, says="could not be written.*--output FILE")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("command", MADE)
def test_a_folder_that_may_not_be_written_is_told(room, bound_by_modes, command):
    file = room.out / "made"
    room.out.chmod(0o555)
    words = [*MADE[command](room), "--output", file]
    room.refused(*words, file=file, says="Permission denied.*--output FILE")


@pytest.mark.parametrize("command", MADE)
def test_a_folder_that_is_not_there_is_told(room, command):
    file = room.out / "none" / "made"
    words = [*MADE[command](room), "--output", file]
    room.refused(*words, file=file, says="there is no folder.*--output FILE")


@pytest.mark.parametrize("command", MADE)
def test_a_result_of_too_long_a_name_is_told(room, command):
    file = room.out / ("n" * 300)
    words = [*MADE[command](room), "--output", file]
    room.refused(*words, file=file, says="too long.*--output FILE")


def test_a_folder_that_vanishes_meanwhile_is_told(room, monkeypatch):
    from dinov3_parity.fixtures.stages.mapped import vit as mapped

    place = room.out / "place"
    place.mkdir()
    sound = mapped.map_weights

    def vanishing(*given):
        shutil.rmtree(place)
        return sound(*given)

    monkeypatch.setattr(mapped, "map_weights", vanishing)
    file = place / "made.eqx"
    words = ["map", "--weights", room.good.archive, "--output", file]
    room.refused(*words, file=file, says="removed.*--output FILE")


def test_a_linked_folder_leads_to_where_it_leads(room):
    (room.out / "real").mkdir()
    (room.out / "link").symlink_to("real")
    made = room.out / "link" / "made.eqx"
    room.look()
    assert room.told("map", "--weights", room.good.archive, "--output", made).code == 0
    assert (room.out / "real" / "made.eqx").read_bytes() == room.good.eqx.read_bytes()
    assert (room.out / "link").is_symlink()
    room.unchanged()
