"""A file that is at hand is copied under its release's name and stays where it is."""

import errno
import hashlib
import os
import re
from pathlib import Path

import pytest
from dinov3_parity.fixtures.download import fetching
from dinov3_parity.parity.families import VARIANTS

from selftests.support.server import BODY, HALF, NAME, OTHER, RELEASE, SIGNATURE, begun, files


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_at_hand_is_copied_and_stays(get, server, cache, at_hand, kind):
    source, told = at_hand(), []
    got = get(kind(source), RELEASE, lambda *now: told.append(now))
    assert got.path.read_bytes() == source.read_bytes() == BODY
    assert (got.path, got.variant, got.resumed) == (cache / NAME, RELEASE, 0)
    assert not got.path.samefile(source) and told[-1] == (len(BODY), len(BODY))
    assert files(cache) == [NAME] and server.asked == []


def test_of_a_symbolic_link_what_it_leads_to_is_copied(get, at_hand, tmp_path):
    (tmp_path / NAME).symlink_to(at_hand("elsewhere"))
    got = get(tmp_path / NAME)
    assert got.path.read_bytes() == BODY and not got.path.is_symlink()


def test_a_name_in_which_wget_left_the_query_is_cut_there(get, cache, at_hand):
    assert get(at_hand(f"{NAME}?{SIGNATURE}")).path == cache / NAME and files(cache) == [NAME]


@pytest.mark.parametrize("name", ["weights (1).pth", f"{NAME}.part"])
def test_a_file_under_a_name_of_its_own_is_known_by_its_content(get, cache, at_hand, name):
    got = get(at_hand(name))
    assert (got.path, got.variant) == (cache / NAME, RELEASE)


def test_a_partial_file_can_be_given_as_the_file(get, cache):
    assert get(begun(cache, BODY)).path.read_bytes() == BODY and files(cache) == [NAME]


def test_a_file_that_nothing_says_anything_of(refused, cache, at_hand):
    said = refused(at_hand("weights.pth", OTHER))
    assert hashlib.sha256(OTHER).hexdigest()[:8] in said and not cache.exists()
    assert said.endswith("without more, says how to get one.") and len(said) < 320, said


def test_a_damaged_file_leaves_nothing_and_stays_where_it_was(refused, get, cache, at_hand):
    part, source = begun(cache, etag='"first"'), at_hand(f"{NAME}?{SIGNATURE}", BODY[:-1])
    assert "not with " + RELEASE.hash_prefix in refused(source)
    assert source.exists() and files(cache) == [part.name, f"{part.name}.json"]
    assert get().resumed == HALF


def test_a_damaged_file_in_the_cache_itself_stays(refused, cache):
    cache.mkdir()
    (cache / NAME).write_bytes(OTHER)
    assert "What came is not" in refused(cache / NAME)
    assert (cache / NAME).read_bytes() == OTHER and files(cache) == [NAME]


def test_a_copy_for_which_the_disk_has_no_room(refused, cache, at_hand, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    source = at_hand()
    monkeypatch.setattr(fetching.os, "fsync", full)
    assert "No space left on device" in refused(source)
    assert files(cache) == [] and source.read_bytes() == BODY


@pytest.mark.parametrize(
    "name", ["none.pth", f"none.pth?{SIGNATURE}", "none.pth?s3cr3t", "a\0b", "n" * 300, "."]
)
def test_a_file_that_is_not_there(refused, cache, tmp_path, name):
    assert re.search("cannot be read|is no file", refused(f"{tmp_path}/{name}"))
    assert not cache.exists()


def test_a_pipe_is_not_waited_for(refused, tmp_path):
    os.mkfifo(tmp_path / NAME)
    assert "is no file" in refused(tmp_path / NAME)


def test_another_variant_than_the_file_at_hand(refused, at_hand, cache):
    assert "is not vitb16" in refused(at_hand(), VARIANTS["vitb16"]) and not cache.exists()
