"""What lies in raw files: bytes, also where a server has compressed them.

Belongs here: searching files as somebody would who has only the disk. Not: whose bytes they are.
"""

import base64
import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa

_GZIP, _ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
# What is compressed in runs of literals (PostgreSQL's pglz: eight between two bytes of its own) is found in pieces.
_PIECE = 8


def holders(folder: Path, words: Collection[bytes]) -> dict[str, set[bytes]]:
    """Return the files below a folder that hold words, as they are, in base64 or compressed; each with which."""
    forms = {form: word for word in words for form in _forms(word)}
    found: dict[str, set[bytes]] = {}
    for file in folder.rglob("*"):
        if file.is_file() and (held := {forms[each] for text in _texts(_read(file)) for each in forms if each in text}):
            found[str(file.relative_to(folder))] = held
    return found


def _read(file: Path) -> bytes:
    """Return what a file holds; nothing for one that a server has removed since."""
    try:
        return file.read_bytes().replace(bytes(512), b"")  # most of what PostgreSQL keeps ready
    except FileNotFoundError:
        return b""


def _forms(word: bytes) -> Iterator[bytes]:
    """Yield the pieces of a word, and those that are the same for any word before it in base64."""
    for start in range(len(word) - _PIECE + 1):
        yield word[start : start + _PIECE]
    for before in range(3):
        whole = base64.b64encode(b"x" * before + word)
        yield whole[4 if before else 0 : len(whole) // 4 * 4 - 4]


def _texts(data: bytes) -> Iterator[bytes]:
    """Yield some bytes, and what decompresses anywhere in them."""
    yield data
    for match in re.finditer(re.escape(_GZIP), data):
        try:
            yield zlib.decompressobj(wbits=31).decompress(data[match.start() :])
        except zlib.error:
            continue
    for match in re.finditer(re.escape(_ZSTD), data):
        yield b"".join(_unpacked(data[match.start() :]))


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Yield what comes out of zstd, until it is no zstd any more."""
    stream = pa.CompressedInputStream(pa.BufferReader(data), "zstd")
    try:
        while piece := stream.read(1 << 16):
            yield piece
    except OSError:
        return
