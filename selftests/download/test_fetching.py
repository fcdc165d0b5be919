"""A release is fetched whole or not at all, whatever a server does, and nothing tells its link."""

import errno
import hashlib
import io
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dinov3_parity.fixtures.download import fetching, part_file
from dinov3_parity.fixtures.cli.main import main
from dinov3_parity.fixtures.download.fetching import fetch, how_to_get_a_link, secret
from dinov3_parity.fixtures.download.links import FORM, Link
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.variants import VARIANTS

BODY = b"PK\x03\x04" + random.Random(1).randbytes(150_000)
OTHER = b"PK\x03\x04" + random.Random(2).randbytes(150_000)
HALF = len(BODY) // 2
RELEASE = replace(VARIANTS["vits16"], hash_prefix=hashlib.sha256(BODY).hexdigest()[:8])
NAME = RELEASE.file_name
SIGNATURE = "Policy=eyJTdGF0ZW1l&Signature=s3cr3t~Qx_-&Key-Pair-Id=K15QRJ"
SECRETS = ("eyJTdGF0ZW1l", "s3cr3t", "K15QRJ", "an0ther")


# The server: each request takes the next of the scripted answers, the last ones are right.


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        script, told = self.server.script, dict(self.headers)
        self.server.asked.append((self.path, {name.lower(): told[name] for name in told}))
        self.close_connection = True
        (script.pop(0) if script else right)(self)

    def log_message(self, *_):
        pass

    def answer(self, status, headers=(), body=b"", length=True):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length is True else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def of(body, tag, heeds_if_range=True):
    """The right answer for a file and its ETag, of the part that was asked for."""

    def send(handler):
        start = 0
        if asked := handler.headers.get("Range"):
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if heeds_if_range and handler.headers.get("If-Range", tag) != tag:
                start = 0
        if start >= len(body):
            handler.answer(416, {"Content-Range": f"bytes */{len(body)}"})
        elif start:
            place = f"bytes {start}-{len(body) - 1}/{len(body)}"
            handler.answer(206, {"ETag": tag, "Content-Range": place}, body[start:])
        else:
            handler.answer(200, {"ETag": tag}, body)

    return send


right = of(BODY, '"first"')


def short(handler):
    """Half of what is still to come, and a proper end."""
    send = handler.wfile.write
    handler.wfile.write = lambda data: send(data[: len(data) // 2] if len(data) > 999 else data)
    right(handler)


def dropping(handler):
    """As ``short``, and the connection is reset, not closed."""
    short(handler)
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()


def stalling(handler):
    short(handler)
    handler.server.over.wait(5)


def status(number):
    return lambda handler: handler.answer(number, body=b"<Error>Access denied</Error>")


def redirecting(place, number=302):
    return lambda handler: handler.answer(number, {"Location": place} if place else {})


def saying(headers, body=BODY, number=200):
    return lambda handler: handler.answer(number, headers, body)


def chunked(body, whole=True):
    def send(handler):
        handler.answer(200, {"Transfer-Encoding": "chunked"}, length=None)
        for at in range(0, len(body), 40_000):
            piece = body[at : at + 40_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n" if whole else b"")

    return send


@pytest.fixture
def server():
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.script, serving.asked, serving.over = [], [], threading.Event()
    serving.at = f"127.0.0.1:{serving.server_port}"
    serving.link = f"http://{serving.at}/dinov3_vits16/{NAME}?{SIGNATURE}"
    serving.handle_error = lambda *_: None  # a client that hung up
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    yield serving
    serving.over.set()
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture(autouse=True)
def nothing_leaves_this_machine(monkeypatch):
    connect = socket.create_connection

    def at_home(address, *rest, **more):
        assert address[0] in ("127.0.0.1", "localhost")
        return connect(address, *rest, **more)

    monkeypatch.setattr(socket, "create_connection", at_home)
    monkeypatch.setenv("no_proxy", "*")


def secrets_in(*texts: str) -> list[str]:
    return [text[:300] for text in texts if any(part in text for part in SECRETS)]


@pytest.fixture
def untold(tmp_path):
    """No file but the user's own, and no file's name, has the signature."""

    def check():
        own = tmp_path / "downloads"
        files = [path for path in tmp_path.rglob("*") if path.parent != own]
        assert not secrets_in(*(str(path.relative_to(tmp_path)) for path in files))
        assert not secrets_in(*(f.read_bytes().decode("latin1") for f in files if f.is_file()))

    return check


@pytest.fixture(autouse=True)
def nothing_tells_the_link(untold, capfd, caplog):
    """After every test: no file, no output and no log record has the signature."""
    caplog.set_level(logging.DEBUG)
    yield
    untold()
    logged = [record.getMessage() for record in caplog.get_records("call")]
    assert not secrets_in(*capfd.readouterr(), *logged)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def get(server, cache):
    """Fetch from the server, without waiting between tries."""

    def call(source=None, variant=None, progress=None, **words):
        words = {"known": (RELEASE,), "timeout": 5, "pauses": (0, 0, 0)} | words
        return fetch(server.link if source is None else source, variant, cache, progress, **words)

    return call


@pytest.fixture
def refused(get, untold):
    """The one paragraph of a fetch that fails; neither it nor what is behind it tells the link."""

    def call(*given, **words) -> str:
        with pytest.raises(ParityError) as caught:
            get(*given, **words)
        said, error = str(caught.value), caught.value
        assert "\n" not in said, "an error is one paragraph"
        assert error.__cause__ is None and error.__context__ is None
        shown = "".join(traceback.format_exception(error)) + repr(error.args)
        assert not secrets_in(shown)
        untold()
        return said

    return call


def ranges(server):
    return [headers.get("range") for _, headers in server.asked]


def files(cache):
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


def begun(cache, body=BODY[:HALF], **edition):
    """A partial download of an earlier call."""
    cache.mkdir(exist_ok=True)
    (cache / f"{NAME}.part").write_bytes(body)
    if edition:
        told = part_file.Edition(**edition)
        (cache / f"{NAME}.part.json").write_text(part_file.json.dumps(part_file.asdict(told)))
    return cache / f"{NAME}.part"


# What is right


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


# Lines that break


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


# Parts


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


# What is wrong


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


# Redirections


@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
def test_redirections_are_followed_and_the_name_is_the_first_ones(get, server, cache, number):
    elsewhere = f"http://localhost:{server.server_port}/x/..%2fevil.pth?{SIGNATURE}"
    server.script += [redirecting("/relative?token=an0ther", number), redirecting(elsewhere)]
    assert get().path == cache / NAME
    assert [path.partition("?")[0] for path, _ in server.asked[1:]] == [
        "/relative",
        "/x/..%2fevil.pth",
    ]
    assert files(cache) == [NAME]


def test_a_part_is_asked_for_behind_a_redirection_too(get, server, cache):
    begun(cache, etag='"first"')
    server.script += [redirecting("/behind")]
    assert get().resumed == HALF and ranges(server) == [f"bytes={HALF}-"] * 2


def test_five_redirections_are_followed_and_no_sixth(get, refused, server):
    server.script += [redirecting(server.link)] * 6
    assert "more than 5 times" in refused() and len(server.asked) == 6
    server.script += [redirecting(server.link)] * (5 - len(server.script))
    assert get().path.read_bytes() == BODY


@pytest.mark.parametrize(
    "place", ["", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://[x", "//a@b/"]
)
def test_a_redirection_to_nowhere(refused, server, place):
    server.script += [redirecting(place and f"{place}?{SIGNATURE}")]
    assert "redirects" in refused() and len(server.asked) == 1


def test_a_redirection_from_http_to_https_is_followed(refused, server):
    server.script += [redirecting(server.link.replace("http", "https"))]
    assert "cannot prove" in refused(), "this server speaks no TLS, but was asked to"


def test_a_redirection_from_https_to_http_is_refused():
    with pytest.raises(ParityError, match="from https to http") as caught:
        Link.read(f"https://a.example/{NAME}?{SIGNATURE}").follow(f"http://b.example/?{SIGNATURE}")
    assert "s3cr3t" not in str(caught.value)


# Names and addresses


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "weights.pth",
        "..%2f" + NAME,
        "%2e%2e%5c" + NAME,
        "%2Ftmp%2F" + NAME,
        "a\\" + NAME,
        "C:" + NAME,
        NAME + ".",
        NAME + "%00",
        NAME + "%0a",
        NAME + ".part",
        NAME.upper(),
        NAME.replace("-", "%2d"),
        NAME.replace("vits16", "../vits16"),
        NAME.replace("vits16", "v" * 300),
        NAME.replace(RELEASE.hash_prefix, "08c6048"),
        NAME + "%3F" + SIGNATURE,
        NAME + ";" + SIGNATURE,
        NAME + "\\?" + SIGNATURE,
    ],
)
def test_a_name_that_is_no_releases_is_refused_before_anything_is_asked(
    refused, server, cache, tmp_path, name
):
    said = refused(f"http://{server.at}/x/{name}?{SIGNATURE}")
    assert "no name of a release's file" in said and FORM in said
    assert server.asked == [] and not cache.exists() and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "link",
    [
        f"ftp://127.0.0.1/{NAME}?{SIGNATURE}",
        f"file:///tmp/{NAME}?{SIGNATURE}",
        f"https://me:s3cr3t@127.0.0.1/{NAME}",
        f"https:///{NAME}?{SIGNATURE}",
        f"https://[::1/{NAME}?{SIGNATURE}",
        f"http://127.0.0.1:99999/{NAME}?{SIGNATURE}",
        f"http://127.0.0.1/{NAME}?Policy=eyJTdGF0ZW1l\n&Signature=s3cr3t",
        f"http://127.0.0.1/{NAME}?Policy=eyJTdGF0ZW1l Signature=s3cr3t",
        f"http://127.0.0.1/{NAME}?Signature=s3cr3tü",
        f"127.0.0.1/{NAME}?{SIGNATURE}",
        f"https:/127.0.0.1/{NAME}?{SIGNATURE}/K15QRJ",
    ],
)
def test_what_is_no_link_is_refused_without_being_repeated(refused, server, cache, link):
    assert re.search("Copy|begins with", refused(link))
    assert server.asked == [] and not cache.exists()


def test_a_link_may_have_blanks_around_it(get, server):
    assert get(f"\n  {server.link}\r\n").path.read_bytes() == BODY


def test_another_variant_than_the_one_asked_for(refused, server):
    said = refused(variant=VARIANTS["vitb16"])
    assert "is not vitb16" in said and VARIANTS["vitb16"].file_name in said
    assert server.asked == []


def test_a_link_shows_itself_without_its_query():
    link = Link.read(f"https://a.example/x/{NAME}?{SIGNATURE}")
    assert str(link) == f"https://a.example/x/{NAME}?…"
    assert not secrets_in(f"{link!r} {link} {[link]}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"see https://a.example/b.pth?{SIGNATURE} there", "see https://a.example/b.pth?… there"),
        (f"'HTTP://a.example:80/b?{SIGNATURE}'", "'HTTP://a.example:80/b?…"),
        ("https://me:s3cr3t@a.example/b", "https://a.example/b"),
        ("https://me:s3?cr3t@a.example/b", "https://…"),
        (f"https://a.example/b%3F{SIGNATURE}", "https://a.example/b?…"),
        (f"https://a.example/b;{SIGNATURE}", "https://a.example/b?…"),
        (f"https://a.example/b#{SIGNATURE}", "https://a.example/b?…"),
        (f"https://a.example/b\\?{SIGNATURE}", "https://a.example/b?…"),
        (f"https://[::1]:80/b?{SIGNATURE}", "https://[::1]:80/b?…"),
        (f"GET /b.pth?{SIGNATURE} HTTP/1.1", "GET /b.pth?… HTTP/1.1"),
        (f"{NAME}?{SIGNATURE}", f"{NAME}?…"),
        ("(https://a.example/b), C:/Users/me", "(https://a.example/b), C:/Users/me"),
    ],
)
def test_secrets_are_taken_out_of_any_text(text, shown):
    assert secret(text) == shown == secret(shown)


@pytest.mark.parametrize("whose", [None, VARIANTS["vitl16_sat"]])
def test_how_to_get_a_link_is_two_sentences(whose):
    told = how_to_get_a_link(whose)
    assert len(re.findall(r"\.(?= |$)", told)) == 2 and secret(told) == told
    assert FORM in told and "standard input" in told
    assert whose is None or whose.file_name in told


def test_an_error_that_repeats_the_link_is_not_passed_on(refused, server, monkeypatch):
    def failing(link, *_):
        try:
            raise OSError(link.url)
        except OSError as error:
            raise ParityError(f"{link.url} failed") from error

    monkeypatch.setattr(fetching.download, "download", failing)
    assert refused() == f"http://{server.at}/dinov3_vits16/{NAME}?… failed"


# The machine


class Full:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = self.file.write(data[: self.room])
        self.room -= taken
        return taken

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_full_disk_keeps_what_it_took(refused, get, server, cache, monkeypatch):
    enter = part_file.Partial.__enter__

    def onto_a_full_disk(self):
        entered = enter(self)
        entered._file = Full(entered._file, HALF)
        return entered

    with monkeypatch.context() as patched:
        patched.setattr(part_file.Partial, "__enter__", onto_a_full_disk)
        said = refused()
    assert "No space left on device" in said and "Make room" in said and "goes on" in said
    assert len(server.asked) == 1, "another try would not help"
    assert (cache / f"{NAME}.part").read_bytes() == BODY[:HALF]
    assert get().resumed == HALF


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(refused, server, cache, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=HALF))
    said = refused()
    assert f"{len(BODY):,} bytes" in said and f"room for {HALF:,}" in said
    assert files(cache) == []
    begun(cache, BODY[: HALF + 10], etag='"first"')
    assert fetch(server.link, None, cache, known=(RELEASE,)).resumed == HALF + 10


def test_a_length_of_terabytes_is_not_begun(refused, server):
    server.script += [lambda handler: handler.answer(200, {}, BODY, length=10**16)]
    assert "Make room" in refused()


def test_a_cache_that_cannot_be_written(refused, cache, server):
    cache.write_text("a file")
    said = refused()
    assert str(cache) in said and "cannot be used" in said and server.asked == []


def test_a_file_system_without_locks(refused, server, monkeypatch):
    def acquire(*_, **__):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(fetching.filelock.FileLock, "acquire", acquire)
    assert "No locks available" in refused() and server.asked == []


def test_a_release_that_is_there_needs_no_lock(get, monkeypatch):
    """So that a cache may be one that can only be read."""
    got = get()
    monkeypatch.delattr(fetching.filelock, "FileLock")
    assert get().path == got.path


def test_a_folder_under_the_name(refused, cache, server):
    (cache / NAME).mkdir(parents=True)
    assert "is a folder" in refused() and server.asked == []


def test_a_link_in_place_of_the_partial_file_is_not_written_through(refused, cache, tmp_path):
    cache.mkdir()
    (tmp_path / "precious").write_bytes(b"precious")
    (cache / f"{NAME}.part").symlink_to(tmp_path / "precious")
    assert "is a link" in refused()
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_two_fetches_of_one_name_are_one_download(get, server, cache, monkeypatch):
    monkeypatch.setattr(fetching, "_LOOK", 0.02)
    second, halfway, results, told = threading.Event(), threading.Event(), [], []

    def held(handler):
        handler.answer(200, {"ETag": '"first"'}, BODY[:HALF], len(BODY))
        halfway.set()
        second.wait(5)
        handler.wfile.write(BODY[HALF:])

    def waiting(done, total):
        told.append((done, total))
        if done == HALF:
            second.set()

    server.script += [held]
    first = threading.Thread(target=lambda: results.append(get()))
    first.start()
    halfway.wait(5)
    results.append(get(progress=waiting))
    first.join()
    assert len(server.asked) == 1 and {got.path.read_bytes() for got in results} == {BODY}
    assert (HALF, None) in told, "who waits tells how far the other is"


def test_a_killed_process_leaves_a_partial_file_that_the_next_goes_on_from(get, server, cache):
    server.script += [stalling]
    program = (
        "import sys; from dataclasses import replace; from pathlib import Path\n"
        "from dinov3_parity.fixtures.download.fetching import fetch\n"
        "fetch(sys.stdin.read(), None, Path(sys.argv[1]))"
    )
    root = Path(__file__).parent.parent
    child = subprocess.Popen(
        [sys.executable, "-c", program, cache], stdin=subprocess.PIPE, cwd=root, text=True
    )
    child.stdin.write(server.link)
    child.stdin.close()
    part, end = cache / f"{NAME}.part", time.monotonic() + 30
    while time.monotonic() < end and not (part.exists() and part.stat().st_size == HALF):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not (cache / NAME).exists()
    got = get()
    assert got.path.read_bytes() == BODY and got.resumed == HALF and files(cache) == [NAME]


# Files at hand


@pytest.fixture
def at_hand(tmp_path):
    """A file in the user's folder, under the release's name unless another is given."""

    def put(name=NAME, body=BODY):
        path = tmp_path / "downloads" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
        return path

    return put


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
    assert hashlib.sha256(OTHER).hexdigest()[:8] in said and FORM in said and not cache.exists()


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


# The command


def test_the_command_reads_the_link_from_standard_input(server, cache, monkeypatch, capfd):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{server.link}\n"))
    assert main(["fetch", "-", "--cache", str(cache)]) == 0
    shown = capfd.readouterr()
    assert f"{cache / NAME}: {len(BODY):,} bytes, sha256" in shown.out
    assert (cache / NAME).read_bytes() == BODY
    assert not secrets_in(shown.out, shown.err)


def test_machines_get_one_object_without_the_secret(server, cache, monkeypatch, capfd):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{server.link}\n"))
    assert main(["fetch", "-", "--cache", str(cache), "--json"]) == 0
    shown = capfd.readouterr()
    told = json.loads(shown.out)
    assert (told["path"], told["bytes"]) == (str(cache / NAME), len(BODY))
    assert not secrets_in(shown.out, shown.err)


def test_the_command_takes_a_file_that_is_at_hand(tmp_path, cache, capfd):
    (tmp_path / NAME).write_bytes(BODY)
    assert main(["fetch", str(tmp_path / NAME), "--variant", "vits16", "--cache", str(cache)]) == 0
    assert (cache / NAME).read_bytes() == (tmp_path / NAME).read_bytes() == BODY


def test_the_command_says_how_to_get_a_link_and_what_is_wrong_with_one(server, cache, capfd):
    assert main(["fetch"]) == 2
    assert FORM in " ".join(capfd.readouterr().err.split())
    server.script = [status(403)]
    assert main(["fetch", server.link, "--cache", str(cache)]) == 2
    said = capfd.readouterr().err
    assert "expired" in said and not secrets_in(said)
    assert main(["fetch", "x.pth", "--variant", "vitx"]) == 2
    assert "--variant vitx: known are vits16" in capfd.readouterr().err
