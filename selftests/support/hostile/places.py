"""What can stand in a file's place and is none, and the commands that would read it."""

import os
import socket


def fifo(path):
    os.mkfifo(path)


def unix_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def circle(path):
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


READ = {
    "pth": ("convert", "--weights"), "safetensors": ("convert", "--weights"),
    "tar.lz4": ("map", "--weights"), "eqx": ("export", "--eqx"), "onnx": ("compare", "--onnx"),
}  # fmt: skip


def read_words(room, ending, file):
    """The words of a command that reads a file of this ending."""
    command, option = READ[ending]
    rest = ["--weights", room.good.pth] if command == "compare" else ["--output", room.out / "made"]
    return [command, option, file, *rest]
