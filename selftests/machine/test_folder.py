"""A store's folder that is closed, removed, replaced, linked or oddly named."""

import os
import shutil
from pathlib import Path

import pytest
from dinov3_parity.fixtures.store.store import MANIFEST, Store
from dinov3_parity.parity.errors import ParityError

from selftests.support.children import NOBODY, contents, left_over, paragraph
from selftests.support.machine import SMALL, THING, write_thing


@pytest.fixture
def others_folder():
    """A folder that users other than root can reach, as pytest's own cannot be."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        place.chmod(0o755)
        yield place


@pytest.mark.parametrize("closed", [".", "artifacts/thing", "locks", "temporary"])
def test_a_folder_that_cannot_be_written_is_told(start, others_folder, closed):
    root = others_folder / "store"
    Store(root).fetch("thing", "vits16", {"code": "another"}, write_thing)
    for path in [root, *root.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    (root / closed).chmod(0o555)
    if closed == ".":
        for path in root.iterdir():
            path.chmod(0o555)
    user = 0 if os.geteuid() else NOBODY  # whom the mode of a folder does not stop asks as another
    words = paragraph(start("thing", root=root, user=user).go().result())
    assert "Permission denied" in words and "--store DIR" in words
    assert left_over(root) == []


def test_a_store_that_was_removed_between_two_calls_is_made_anew(tmp_path):
    store = Store(tmp_path / "store")
    store.fetch(*THING, write_thing)
    shutil.rmtree(store.root)
    assert (store.clear(), list(store.artifacts())) == (0, [])
    assert not store.fetch(*THING, write_thing).reused
    assert store.fetch(*THING, pytest.fail).reused


def test_a_store_that_is_removed_during_a_making_is_told(tmp_path):
    store = Store(tmp_path / "store")

    def make(folder):
        shutil.rmtree(store.root)
        write_thing(folder)

    with pytest.raises(ParityError, match=r"was removed.*Run again") as caught:
        store.fetch(*THING, make)
    assert "\n" not in str(caught.value)
    assert not store.fetch(*THING, write_thing).reused


def test_a_store_that_is_removed_before_a_stage_is_opened_is_told(tmp_path):
    from dinov3_parity.fixtures.checkpoints.synthetic import Synthetic
    from dinov3_parity.fixtures.pipeline.pipeline import Pipeline

    pipe = Pipeline(SMALL, Synthetic(SMALL), Store(tmp_path / "store"))
    pipe.artifact("equimo")
    shutil.rmtree(pipe.store.root)
    with pytest.raises(ParityError, match=r"was removed.*Run again") as caught:
        pipe.stage("equimo")
    assert "\n" not in str(caught.value)


def test_a_file_that_took_the_stores_place_is_told(tmp_path):
    store = Store(tmp_path / "store")
    shutil.rmtree(store.root)
    store.root.write_text("mine")
    with pytest.raises(ParityError, match=r"cannot be used: .*--store DIR") as caught:
        store.fetch(*THING, write_thing)
    assert "\n" not in str(caught.value)
    assert store.root.read_text() == "mine"


@pytest.mark.parametrize("there", [True, False], ids=["a folder", "nothing yet"])
def test_a_link_leads_to_the_store(tmp_path, there):
    """Nothing yet: as of any other path, the folder is made."""
    if there:
        (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    made = Store(tmp_path / "link").fetch(*THING, write_thing)
    assert made.path.is_relative_to(tmp_path / "elsewhere")
    assert (tmp_path / "link").is_symlink()
    assert Store(tmp_path / "elsewhere").fetch(*THING, pytest.fail).reused


def test_links_in_a_circle_are_told(tmp_path):
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(ParityError, match=r"cannot be used: .*--store DIR"):
        Store(tmp_path / "one")


def test_a_home_that_nobody_has_is_told():
    with pytest.raises(ParityError, match=r"cannot be used: .*--store DIR"):
        Store(Path("~no-such-user/store"))


def test_a_relative_store_stays_where_it_was_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store(Path("store"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.fetch(*THING, write_thing).path.is_relative_to(tmp_path / "store")


def test_an_artifact_that_was_moved_away_and_linked_is_used(tmp_path):
    """A damaged one behind a link is left where it is; its place is taken by a new one."""
    store = Store(tmp_path / "store")
    place = store.fetch(*THING, write_thing).path
    moved = place.rename(tmp_path / "moved")
    place.symlink_to(moved)
    assert store.fetch(*THING, pytest.fail).reused
    (moved / "first.txt").write_text("c0ntent")
    assert not store.fetch(*THING, write_thing).reused
    assert not place.is_symlink() and (moved / "first.txt").read_text() == "c0ntent"


def test_clearing_follows_no_link(tmp_path):
    store = Store(tmp_path / "store")
    place = store.fetch(*THING, write_thing).path
    moved = place.rename(tmp_path / "moved")
    place.symlink_to(moved)
    store.clear()
    assert not place.exists() and (moved / MANIFEST).exists()


@pytest.mark.parametrize("stands", ["a file", "a dangling link"])
def test_what_stands_in_an_artifacts_place_gives_way(tmp_path, stands):
    store = Store(tmp_path / "store")
    place = store.fetch(*THING, write_thing).path
    shutil.rmtree(place)
    if stands == "a file":
        place.write_text("")
    else:
        place.symlink_to(tmp_path / "nothing")
    assert not store.fetch(*THING, write_thing).reused
    assert store.fetch(*THING, pytest.fail).reused


def test_a_store_on_two_disks_is_told(tmp_path):
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    import tempfile

    with tempfile.TemporaryDirectory(dir=other) as place:
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "artifacts").symlink_to(place)
        with pytest.raises(ParityError, match=r"on two disks.*--store DIR"):
            Store(tmp_path / "store")


@pytest.mark.parametrize("name", ["two  words it's “ö日本”", '"<b>&\\n $(touch x);*?[a]#%20'])
def test_a_store_of_any_name_holds_the_real_artifacts(start, undisturbed, tmp_path, name):
    usual, root = undisturbed.made("mapped"), tmp_path / name
    path = Path(start("make", root=root, what="mapped").go().result()["path"])
    assert path.is_relative_to(root)
    assert contents(path) == usual.contents
