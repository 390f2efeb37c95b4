"""The doctor's checks that need no Dagster, in the order in which their findings are told.

Belongs here: which there are, and whose settings they get. Not: what they look at.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pipelines import env_file
from pipelines.doctor import database, disk, receiver, store, webhook_secrets
from pipelines.doctor.findings import Check
from pipelines.settings import LakeSettings


def checks(settings: LakeSettings, receiver_env: Path | None) -> dict[str, Check]:
    """Return the checks by name. `receiver_env` names the receiver's settings. Raises OSError, ValueError."""
    its = _receiver_settings(settings, receiver_env)
    return {
        "secret": partial(webhook_secrets.check, settings),
        "database": partial(database.check, settings),
        "store": partial(store.check, settings),
        "receiver's key": partial(store.check_receiver, settings, its),
        "receiver": partial(receiver.check, settings, its),
        "disk": partial(disk.check, settings),
    }


def _receiver_settings(settings: LakeSettings, receiver_env: Path | None) -> Mapping[str, str]:
    """Read the file that was named, or else the one that `up` left in its data directory; without any: nothing."""
    if receiver_env:
        return env_file.read_quoted(receiver_env)
    own = settings.wpp_lake_data_dir and settings.wpp_lake_data_dir / env_file.RECEIVER
    return env_file.read_quoted(own) if own and own.exists() else {}
