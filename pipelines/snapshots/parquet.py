"""Writes record batches as one Parquet file, in row groups of bounded memory.

Belongs here: row groups, encodings, the file's own metadata. Not: which rows (write), their columns (schemas).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import repeat
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.prefetch import prefetch

# A row group is what is in memory at once; an hour of a busy day has several, each with some of its groups.
ROW_GROUP_ROWS, ROW_GROUP_BYTES = 1 << 15, 1 << 26
PAGE_BYTES = 1 << 21  # a long page compresses better, one that outgrows the processor's cache takes longer
UNLIKE = {"id", "event_id", "jid", "external_jid", "payload"}  # columns whose values seldom repeat


def write_parquet(
    file: IO[bytes], schema: pa.Schema, batches: Iterable[pa.RecordBatch], metadata: Mapping[str, str]
) -> dict[str, str]:
    """Write batches as a Parquet file with this metadata, and with what the rows add to it, which is returned."""
    rows, received = 0, set[datetime]()
    with pq.ParquetWriter(file, schema.with_metadata(dict(metadata)), **options(schema)) as writer:
        for group in _read_ahead(_row_groups(batches)):
            rows += len(group)
            if "received_at" in schema.names:
                least, greatest = pc.min_max(group["received_at"]).values()
                received |= {least.as_py(), greatest.as_py()}
            writer.write_table(group.cast(schema).replace_schema_metadata(dict(metadata)), len(group))
        found = {"row_count": str(rows)}
        if received:
            found |= {"received_from": min(received).isoformat(), "received_to": max(received).isoformat()}
        writer.add_key_value_metadata(found)
    return found


def options(schema: pa.Schema) -> dict[str, Any]:
    """Return what makes a table's files small: compression, the encoding of each column, the length of pages."""
    times = {field.name for field in schema if pa.types.is_timestamp(field.type)}
    return {
        "compression": "zstd",
        "compression_level": 1,
        "data_page_size": PAGE_BYTES,
        "use_dictionary": [name for name in schema.names if name not in UNLIKE | times],
        "column_encoding": dict.fromkeys(times, "DELTA_BINARY_PACKED"),
    }


def _read_ahead(groups: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Read the next row group while the last one is worked on."""
    coming = prefetch(lambda _: next(groups, None), repeat(None))
    for group in coming:
        if group is None:
            return
        yield group


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join batches until they have the rows, or the bytes, of a row group."""
    gathered: list[pa.RecordBatch] = []
    for batch in batches:
        gathered.append(batch)
        if sum(map(len, gathered)) >= ROW_GROUP_ROWS or sum(each.nbytes for each in gathered) >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(gathered)
            gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered)
