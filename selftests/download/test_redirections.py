"""Redirections are followed, a few, and to nowhere less safe."""

import pytest
from dinov3_parity.fixtures.download.links import Link
from dinov3_parity.parity.errors import ParityError

from selftests.support.server import BODY, HALF, NAME, SIGNATURE, begun, files, ranges, redirecting


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
