"""A server, a cache and a fetch from the one to the other; nothing tells the link, after every test."""

import logging
import socket
import threading
import traceback
from http.server import ThreadingHTTPServer

import pytest
from dinov3_parity.fixtures.download.fetching import fetch
from dinov3_parity.parity.errors import ParityError

from selftests.support.server import BODY, NAME, RELEASE, SIGNATURE, Handler, secrets_in


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


@pytest.fixture
def at_hand(tmp_path):
    """A file in the user's folder, under the release's name unless another is given."""

    def put(name=NAME, body=BODY):
        path = tmp_path / "downloads" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
        return path

    return put
