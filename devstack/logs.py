"""The children's log files, which are kept short.

Belongs here: when a log is too long, and what becomes of its content. Not: who writes into it (supervisor.py).
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LONGEST_LINE = 1 << 16  # bytes; a longer one may be cut in two


@dataclass(frozen=True)
class LogLimit:
    """The bytes that a log may have, and the number of files of its earlier content kept beside it."""

    size: int
    files: int


def shorten(logs: Iterable[Path], limit: LogLimit) -> None:
    """Rotate the logs that are too long. One that can't be now (the disk is full, say) stays as it is."""
    for log in logs:
        with suppress(OSError):
            if log.stat().st_size > limit.size:
                rotate(log, limit.files)


def rotate(log: Path, files: int) -> None:
    """Move a log's content to `<log>.1`, what was there to `<log>.2`, and so on up to `files`.

    The writer keeps its open file, so nothing that it does depends on this process: the content is copied and cut off,
    and the writer, which appends, goes on at the beginning. What it writes between the last byte's copy and the cut,
    which follow each other at once, is lost, and with it the beginning of a line that has no end yet: a reader may see
    half of a line that is written in one piece.
    """
    copy = log.with_name(f"{log.name}.new")
    try:
        shutil.copyfile(log, copy)
        _end_at_a_line(copy)
    except OSError:
        copy.unlink(missing_ok=True)
        raise
    os.truncate(log, 0)
    for number in range(files - 1, 0, -1):
        with suppress(FileNotFoundError):
            log.with_name(f"{log.name}.{number}").rename(log.with_name(f"{log.name}.{number + 1}"))
    copy.rename(log.with_name(f"{log.name}.1"))


def _end_at_a_line(file: Path) -> None:
    """Cut off what stands after the last end of a line; a file without any stays as it is."""
    with file.open("r+b") as content:
        content.seek(-min(LONGEST_LINE, file.stat().st_size), os.SEEK_END)
        tail = content.read()
        if whole := tail.rfind(b"\n") + 1:
            content.truncate(content.tell() - len(tail) + whole)
