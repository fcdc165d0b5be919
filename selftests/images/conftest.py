"""A file for a picture, of a name that says nothing of its content."""

from pathlib import Path

import pytest
from PIL import Image

from selftests.support.pictures import encoded


@pytest.fixture
def file(tmp_path):
    """Write bytes, or an image in a format, to a file of a name that says nothing of its content."""

    def write(content: bytes | Image.Image, format: str = "PNG", **options) -> Path:
        path = tmp_path / "picture"
        data = content if isinstance(content, bytes) else encoded(content, format, **options)
        path.write_bytes(data)
        return path

    return write
