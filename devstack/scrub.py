"""Scrubs the embedded store, which `wpp-lake erase apply --scrub` finds by entry point.

Belongs here: telling a running store from another process to give up the bytes of deleted objects. Not: how it does
that (seaweed.py), the database's part (pipelines/privacy/scrub.py).
"""

import json
from contextlib import closing
from pathlib import Path

from devstack import namespaces
from devstack.errors import StackError
from devstack.stack import Plan, Stack
from devstack.state import State


def scrub(data_dir: Path) -> None:
    """Vacuum the volumes of the store of a data directory, which runs. Raises StackError."""
    plan = Plan(data_dir)
    running = {each["name"]: each["pid"] for each in json.loads(plan.record.read_text())["processes"]}
    if "s3" not in running:
        raise StackError(f"no store runs in {data_dir}")
    way = namespaces.own_network() if namespaces.is_apart(running["s3"]) else ()
    seaweed = Stack(plan, State.read(data_dir), way, ()).seaweed
    with closing(seaweed.client()) as client:
        seaweed.vacuum(running["s3"], client)
