"""A line that breaks is taken up where it broke, and one that stays broken keeps what came."""

import socket
import time

import pytest

from selftests.support.server import (
    BODY,
    HALF,
    NAME,
    SIGNATURE,
    chunked,
    dropping,
    files,
    ranges,
    short,
    stalling,
    status,
)


@pytest.mark.parametrize("broken", [short, dropping, stalling], ids=lambda f: f.__name__)
def test_a_broken_line_is_taken_up_where_it_broke(get, server, broken):
    server.script += [broken, broken]
    assert get(timeout=0.2).path.read_bytes() == BODY
    first, *rest = ranges(server)
    assert first is None and len(rest) == 2
    assert {headers.get("if-range") for _, headers in server.asked[1:]} <= {'"first"', None}


def test_a_short_body_is_asked_for_from_the_byte_where_it_ended(get, server):
    server.script += [short, short]
    get()
    assert ranges(server) == [None, f"bytes={HALF}-", f"bytes={HALF + (len(BODY) - HALF) // 2}-"]
    assert [headers.get("if-range") for _, headers in server.asked[1:]] == ['"first"'] * 2


def test_a_chunked_body_that_is_cut_off_is_not_taken_for_whole(get, server):
    server.script += [chunked(BODY[:80_000], whole=False)]
    assert get().path.read_bytes() == BODY and ranges(server) == [None, "bytes=80000-"]


def test_a_line_that_stays_broken_keeps_what_came_and_goes_on_another_day(
    get, refused, server, cache
):
    server.script += [short] * 4
    said = refused()
    kept = (cache / f"{NAME}.part").stat().st_size
    assert "again on 3 further tries" in said and len(server.asked) == 4
    assert f"{kept:,} of {len(BODY):,} bytes are kept" in said and "goes on from there" in said
    assert files(cache) == [f"{NAME}.part", f"{NAME}.part.json"]
    told = []
    new = server.link.replace("s3cr3t", "an0ther")
    got = get(new, progress=lambda *now: told.append(now))
    assert (got.resumed, ranges(server)[-1]) == (kept, f"bytes={kept}-")
    assert told[0][0] > kept and got.path.read_bytes() == BODY and files(cache) == [NAME]


def test_tries_wait_as_long_as_they_are_told(refused, server, monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    server.script += [status(503)] * 3
    refused(pauses=(2, 7))
    assert waited == [2, 7]


def test_a_server_that_is_not_there(refused):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = refused(f"http://127.0.0.1:{port}/{NAME}?{SIGNATURE}")
    assert "Connection refused" in said and "Nothing has come yet" in said


def test_an_answer_that_is_no_http(refused, server):
    def send(handler):
        handler.wfile.write(f"HELO {SIGNATURE}\r\n".encode())

    server.script += [send] * 4
    assert "something else than HTTP" in refused()


def test_a_host_that_cannot_prove_itself(refused, server):
    said = refused(server.link.replace("http", "https"))
    assert "cannot prove" in said and len(server.asked) == 0
