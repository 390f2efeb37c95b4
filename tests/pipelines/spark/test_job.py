"""The whole job on Spark, in processes of this machine: the tables and files that the loader and the snapshots make."""

import os
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.dataset as ds
import pytest
from erasing import PHONE, erase, landed, snapshot
from factories import RECEIVED, event, line, message, participant
from lake import Lake
from project import ROOT
from servers import bucket

from benchmarks.cluster import java
from benchmarks.comparison import KEYS, compare_snapshots, compare_table
from pipelines.snapshots.bucket import SnapshotStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.spark


def run(folder: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run the job on the lake that the environment names."""
    return of_spark(
        [sys.executable, "-m", "pipelines.spark", "--tables", (folder / "tables").as_uri()], folder, **settings
    )


def of_spark(command: list[str], folder: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with one process of Spark with two places."""
    (folder / "spark-defaults.conf").write_text(
        "spark.master local[2]\nspark.ui.enabled false\nspark.driver.bindAddress 127.0.0.1\n"
        f"spark.driver.host 127.0.0.1\nspark.local.dir {folder}\n"
    )
    session = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_CONF_DIR": str(folder), "PYSPARK_PYTHON": sys.executable}
    own = {name: text for name, text in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run(
        command,
        env=own | session | settings | {"JAVA_HOME": str(java(folder)[0]), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_tables_and_files_are_those_of_the_loader(
    filled: Lake, sample: list[dict[str, object]], s3_client: "S3Client", tmp_path: Path
) -> None:
    """With a body that changed, a LID that changed hands, somebody erased, and what they wrote delivered again."""
    erase(filled, f"{PHONE}@s.whatsapp.net")
    filled.land(*map(landed, sample))
    filled.land(
        line(event(message(participant(7), text="other")), 1, RECEIVED + timedelta(minutes=1)),
        line(event(message(participant(7), text="first")), 1),
        line(event(message(participant(7)) | {"messageTimestamp": 1779336900}), 2),
    )
    filled.load()
    snapshot(filled)
    with bucket(s3_client, "spark") as bucket_of_spark:
        done = run(tmp_path, SNAPSHOT_BUCKET=bucket_of_spark)
        assert done.returncode == 0, done.stderr
        theirs = SnapshotStore(filled.settings.model_copy(update={"snapshot_bucket": bucket_of_spark}))
        files = list(compare_snapshots(filled.snapshots, theirs, set()))
    tables = {table: compare_table(filled.connection, str(tmp_path / "tables"), table) for table in KEYS}
    assert [found for _, _, found in files] == [[]] * 5
    assert {table: found for table, (_, found) in tables.items()} == {table: [] for table in KEYS}
    assert tables["whatsapp_event_revisions"][0] > 0


SORTS = """
import re
from datetime import UTC, datetime
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema
from pipelines.snapshots.schemas import SCHEMAS
from pipelines.spark.publish import Moment, files

spark = SparkSession.builder.getOrCreate()
for table, schema in SCHEMAS.items():
    rows = spark.createDataFrame([], from_arrow_schema(schema))
    plan = files(table, rows, Moment(datetime.now(UTC), "", None))._jdf.queryExecution().executedPlan().toString()
    print(*re.findall(r"Sort \\[(\\w+)", plan))
"""


def test_a_file_s_rows_are_sorted_once(tmp_path: Path) -> None:
    """A second sort, by the date alone, would keep no order once it needs the disk."""
    done = of_spark([sys.executable, "-c", SORTS], tmp_path)
    assert done.stdout.splitlines() == ["day"] * 4, done.stderr


def test_ids_are_functions_of_what_they_name(lake: Lake, tmp_path: Path) -> None:
    lake.land(line(event(message(participant()))))
    assert run(tmp_path).returncode == 0
    for table, name in (("whatsapp_events", "event_id"), ("whatsapp_groups", "external_jid"),
                        ("whatsapp_participants", "external_jid")):  # fmt: skip
        [row] = ds.dataset(tmp_path / "tables" / table, format="parquet").to_table().to_pylist()
        assert row["id"] == str(uuid.uuid5(uuid.NAMESPACE_URL, f"{table}/{row[name]}"))


def test_an_empty_landing_zone_gives_empty_files(lake: Lake, tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert [text.split(" ")[0] for text in done.stdout.splitlines()] == ["0"] * 5
    assert len(lake.snapshots.dates("whatsapp_participants")) == 1
