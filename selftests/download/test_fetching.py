"""A release is fetched whole or not at all, and under its own name."""

import hashlib

from selftests.support.server import (
    BODY,
    NAME,
    OTHER,
    RELEASE,
    SIGNATURE,
    chunked,
    files,
    of,
    saying,
)


def test_a_link_gives_the_release_under_its_name(get, server, cache):
    got = get(variant=RELEASE)
    assert (got.path, got.variant, got.resumed) == (cache / NAME, RELEASE, 0)
    assert (got.digest, got.bytes) == (hashlib.sha256(BODY).hexdigest(), len(BODY))
    assert got.path.read_bytes() == BODY and files(cache) == [NAME]
    [(path, headers)] = server.asked
    assert path.endswith(SIGNATURE) and headers["accept-encoding"] == "identity"


def test_progress_is_told_of_how_many_bytes_are_there(get):
    told = []
    get(progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told) and told[-1] == (len(BODY), len(BODY))
    assert {total for _, total in told} == {len(BODY)}


def test_a_release_that_is_there_is_not_asked_for_again(get, server):
    get()
    again = get()
    assert len(server.asked) == 1 and again.resumed == again.bytes == len(BODY)


def test_another_content_under_the_name_steps_aside_and_stays(get, cache):
    cache.mkdir()
    (cache / NAME).write_bytes(b"of another day")
    got = get()
    assert got.path.read_bytes() == BODY and got.aside.read_bytes() == b"of another day"
    assert files(cache) == sorted([NAME, got.aside.name]) and got.aside.suffix != ".pth"


def test_what_is_under_the_name_stays_there_until_the_file_is_whole(get, refused, server, cache):
    cache.mkdir()
    (cache / NAME).write_bytes(b"of another day")
    server.script += [of(OTHER, '"other"')]
    refused()
    assert (cache / NAME).read_bytes() == b"of another day" and files(cache) == [NAME]


def test_a_release_without_a_variant_is_fetched_all_the_same(get, server):
    name = f"dinov3_convnext_tiny_pretrain_lvd1689m-{RELEASE.hash_prefix}.pth"
    got = get(f"http://{server.at}/{name}?{SIGNATURE}")
    assert (got.path.name, got.variant) == (name, None)


def test_a_name_that_the_server_proposes_is_not_taken(get, server, cache):
    server.script += [saying({"Content-Disposition": "attachment; filename=../evil.pth"})]
    assert get().path == cache / NAME


def test_a_length_that_is_not_told_is_no_hindrance(get, server):
    server.script += [chunked(BODY)]
    told = []
    assert get(progress=lambda *now: told.append(now)).path.read_bytes() == BODY
    assert told[-1] == (len(BODY), None)
