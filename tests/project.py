"""The project as its tests see it: the folder that it is in, and the settings that its code reads.

Belongs here: what tests of documents and of `deploy/` compare with. Not: the documents.
"""

from pathlib import Path

from devstack.settings import StackSettings
from pipelines.settings import LakeSettings
from receiver.settings import ReceiverSettings

ROOT = Path(__file__).parent.parent
# Read by the guard of Dagster's webserver, and by boto3.
OTHERS_SETTINGS = {"DAGSTER_ALLOWED_HOSTS", "AWS_REQUEST_CHECKSUM_CALCULATION"}


def settings_in_code() -> set[str]:
    """Return the environment variable of every setting."""
    fields = {**ReceiverSettings.model_fields, **LakeSettings.model_fields, **StackSettings.model_fields}
    return {name.upper() for name in fields} | OTHERS_SETTINGS
