"""`python -m pipelines.spark`: tables and snapshots from the landing zone alone, on the cluster that the session finds.

Belongs here: words, the session, what is printed. Not: the job itself (job).
"""

import argparse
import sys
import warnings

from pyspark.sql import SparkSession

from pipelines.errors import WppLakeError
from pipelines.spark.job import run
from pipelines.spark.stretches import STRETCH_BYTES


def main() -> None:
    """Run the job; exit 1 with a sentence where it can't begin."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.spark", description=__doc__)
    parser.add_argument("--tables", metavar="URI", help="also write the six tables, as Parquet in folders below it")
    parser.add_argument("--stretch-bytes", type=int, default=STRETCH_BYTES, help="landed bytes that a task reads")
    words = parser.parse_args()
    # Its Arrow functions ask whether pandas is there, and never use it: which version that is doesn't matter.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    spark = SparkSession.builder.appName("wpp-lake").getOrCreate()
    try:
        print(run(spark, words.tables, words.stretch_bytes))  # noqa: T201  a command prints
    except WppLakeError as error:
        sys.exit(f"pipelines.spark: {error}")
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
