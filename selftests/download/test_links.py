"""Only a release's name and address is asked for, and no text repeats the link's secret."""

import re

import pytest
from dinov3_parity.fixtures.download import fetching
from dinov3_parity.fixtures.download.fetching import how_to_get_a_link, secret
from dinov3_parity.fixtures.download.links import FORM, Link
from dinov3_parity.parity.errors import ParityError
from dinov3_parity.parity.families import VARIANTS

from selftests.support.server import BODY, NAME, RELEASE, SIGNATURE, secrets_in


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

    monkeypatch.setattr(fetching.transfer, "download", failing)
    assert refused() == f"http://{server.at}/dinov3_vits16/{NAME}?… failed"
