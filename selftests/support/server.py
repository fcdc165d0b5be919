"""A server of a release that answers as its script says: each request takes the next of the answers,
the last ones are right.
"""

import hashlib
import random
import re
import socket
import struct
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

from dinov3_parity.fixtures.download import part_file
from dinov3_parity.parity.families import VARIANTS

BODY = b"PK\x03\x04" + random.Random(1).randbytes(150_000)
OTHER = b"PK\x03\x04" + random.Random(2).randbytes(150_000)
HALF = len(BODY) // 2
RELEASE = replace(VARIANTS["vits16"], hash_prefix=hashlib.sha256(BODY).hexdigest()[:8])
NAME = RELEASE.file_name
SIGNATURE = "Policy=eyJTdGF0ZW1l&Signature=s3cr3t~Qx_-&Key-Pair-Id=K15QRJ"
SECRETS = ("eyJTdGF0ZW1l", "s3cr3t", "K15QRJ", "an0ther")


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


def secrets_in(*texts: str) -> list[str]:
    return [text[:300] for text in texts if any(part in text for part in SECRETS)]


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
