"""A wrong file, a refusal or a page to read is told as what it is."""

import hashlib

import pytest

from selftests.support.server import BODY, HALF, OTHER, RELEASE, begun, files, of, saying, status


def test_a_wrong_file_leaves_nothing_and_says_what_came(refused, get, server, cache):
    server.script += [of(OTHER, '"other"')]
    said = refused()
    assert hashlib.sha256(OTHER).hexdigest()[:8] in said and RELEASE.hash_prefix in said
    assert f"{len(OTHER):,} bytes" in said and files(cache) == []
    assert get().path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (401, "the link has expired"),
        (403, "the link has expired"),
        (404, "nothing at this address"),
        (410, "nothing at this address"),
        (418, "is no file"),
        (204, "is no file"),
    ],
)
def test_a_refusal_is_told_and_not_tried_again(refused, get, server, cache, number, words):
    begun(cache, etag='"first"')
    server.script += [status(number)]
    said = refused()
    assert words in said and str(number) in said and len(server.asked) == 1
    assert get().resumed == HALF


@pytest.mark.parametrize("number", [429, 500, 503])
def test_a_server_in_trouble_is_tried_again(get, refused, server, number):
    server.script += [status(number)] * 3
    assert get().path.read_bytes() == BODY and len(server.asked) == 4


def test_a_server_that_stays_in_trouble_is_told(refused, server):
    server.script += [status(500)] * 4
    assert "500 Internal Server Error" in refused() and len(server.asked) == 4


@pytest.mark.parametrize(
    "page",
    [
        saying({"Content-Type": "text/html; charset=utf-8"}, b"Log in"),
        saying({"Content-Type": "application/octet-stream"}, b"\n <!DOCTYPE html><p>Log in"),
        saying({}, b"<html>Log in</html>"),
        saying({}, b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
    ],
    ids=["type", "doctype", "html", "xml"],
)
def test_a_page_is_told_as_such_and_costs_no_byte_that_came_before(
    refused, get, server, cache, page
):
    begun(cache, etag='"first"')
    server.script += [page]
    assert "a page to read" in refused()
    assert get().resumed == HALF


def test_a_body_compressed_on_the_way_is_refused(refused, server, cache):
    server.script += [saying({"Content-Encoding": "gzip"})]
    assert "compressed on the way" in refused() and files(cache) == []
