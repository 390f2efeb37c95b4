"""Runs a module of Dagster's, as `python -m` does, with plain logs in which each line stands once.

Belongs here: what Dagster's own options can't say about its logs. Not: which processes run (stack.py), where their
output goes (supervisor.py, logs.py).
"""

import logging
import runpy
import sys

import coloredlogs  # type: ignore[import-untyped]  # it ships no types

LINE, TIME = "%(asctime)s - %(name)s - %(levelname)s - %(message)s", "%Y-%m-%d %H:%M:%S %z"


class PlainFormatter(logging.Formatter):
    """Takes the place of the formatter whose colours go into files too, and leaves out the styles it is given."""

    def __init__(self, fmt: str, datefmt: str, **_: object) -> None:
        super().__init__(fmt, datefmt)


def main() -> None:
    """Run the module that the first word names, with the words after it."""
    # Dagster's other log formats are JSON, which loses tracebacks, and another coloured one.
    coloredlogs.ColoredFormatter = PlainFormatter
    # dagster-postgres says `logging.warning` when it connects again, which would give the root logger a handler, and so
    # a second copy of every later line of Dagster's loggers, which have one of their own.
    logging.basicConfig(format=LINE, datefmt=TIME)
    for name in ("dagster", "dagster-webserver"):
        logging.getLogger(name).propagate = False
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
