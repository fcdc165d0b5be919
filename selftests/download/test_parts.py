"""A part is gone on from where it is a part of the same file, and begun anew where it is not."""

import pytest

from selftests.support.server import (
    BODY,
    HALF,
    NAME,
    OTHER,
    SIGNATURE,
    begun,
    files,
    of,
    ranges,
    saying,
)


def test_a_server_that_ignores_ranges_begins_anew(get, server, cache):
    begun(cache, etag='"first"', total=len(BODY))
    server.script += [saying({"ETag": '"first"'})]
    got = get()
    assert got.path.read_bytes() == BODY and got.resumed == 0
    assert ranges(server) == [f"bytes={HALF}-"]


def test_a_file_that_changed_between_two_parts_begins_anew(get, server, cache):
    begun(cache, OTHER[:HALF], etag='"old"', total=len(OTHER))
    got = get()
    assert got.path.read_bytes() == BODY and got.resumed == 0
    assert server.asked[0][1]["if-range"] == '"old"' and len(server.asked) == 1


@pytest.mark.parametrize(
    "edition", [{"etag": '"old"'}, {"total": len(BODY) + 1}], ids=lambda told: next(iter(told))
)
def test_a_changed_file_is_noticed_where_the_server_does_not(get, server, cache, edition):
    begun(cache, OTHER[:HALF], **edition)
    server.script += [of(BODY, '"first"', heeds_if_range=False)]
    got = get()
    assert got.path.read_bytes() == BODY and ranges(server) == [f"bytes={HALF}-", None]


def test_a_date_stands_for_a_tag_where_there_is_none(get, server, cache):
    date = "Thu, 14 Aug 2025 09:00:00 GMT"
    server.script += [lambda h: h.answer(200, {"Last-Modified": date}, BODY[:HALF], len(BODY))]
    get()
    assert server.asked[1][1]["if-range"] == date


def test_a_weak_tag_vouches_for_no_part(get, server):
    server.script += [lambda h: h.answer(200, {"ETag": 'W/"x"'}, BODY[:HALF], len(BODY))]
    get()
    assert "if-range" not in server.asked[1][1]


def test_a_sidecar_that_says_nothing_sound_is_not_believed(get, server, cache):
    begun(cache)
    (cache / f"{NAME}.part.json").write_text('{"etag": "\\"a\\r\\nHost: evil\\"", "total": "x"}')
    assert get().resumed == HALF and "if-range" not in server.asked[0][1]


def test_a_partial_file_longer_than_the_release_begins_anew(get, server, cache):
    begun(cache, BODY + b"and more", etag='"first"')
    got = get()
    assert got.path.read_bytes() == BODY and got.resumed == 0
    assert ranges(server) == [f"bytes={len(BODY) + 8}-", None]


def test_a_partial_file_that_is_whole_needs_its_name_alone(get, server, cache):
    begun(cache, BODY)
    got = get()
    assert got.path.read_bytes() == BODY and got.resumed == len(BODY)
    assert server.asked == [] and files(cache) == [NAME]


END = len(BODY) - 1


@pytest.mark.parametrize(
    ("place", "size"),
    [
        (f"bytes 0-{END - HALF}/{END + 1}", END - HALF + 1),
        (f"bytes {HALF + 1}-{END}/{END + 1}", END - HALF),
        (f"bytes {HALF}-{HALF - 1}/{END + 1}", 0),
        (f"bytes {HALF}-{END + 1}/{END + 1}", END - HALF + 2),
        (f"bytes {HALF}-{END - 1}/{END + 1}", END - HALF + 1),
        (f"bytes={HALF}-{END}/{END + 1}", END - HALF + 1),
        (SIGNATURE, END - HALF + 1),
        ("", END - HALF + 1),
    ],
    ids=["first", "later", "backwards", "beyond", "shorter", "misspelled", "echo", "none"],
)
def test_another_part_than_the_one_asked_for_is_not_used(refused, get, server, cache, place, size):
    part = begun(cache)
    sent = (BODY[HALF:] + b"!")[:size]
    server.script += [saying({"Content-Range": place} if place else {}, sent, 206)]
    said = refused()
    assert "sent another part" in said and str(part) in said
    assert part.read_bytes() == BODY[:HALF] and len(server.asked) == 1
    assert get().resumed == HALF


def test_a_part_says_how_long_the_whole_is(get, server, cache):
    """So that a connection that ends too early is noticed where nothing else tells."""
    begun(cache)
    told = {"Content-Range": f"bytes {HALF}-{END}/{END + 1}"}
    server.script += [lambda h: h.answer(206, told, BODY[HALF : HALF + 999], length=None)]
    assert get().path.read_bytes() == BODY
    assert ranges(server) == [f"bytes={HALF}-", f"bytes={HALF + 999}-"]


def test_a_part_that_nobody_asked_for_is_not_used(refused, server):
    server.script += [saying({"Content-Range": f"bytes 0-9/{len(BODY)}"}, BODY[:10], 206)]
    assert "206" in refused()
