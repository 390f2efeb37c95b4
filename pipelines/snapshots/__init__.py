"""The daily Parquet files of the snapshot bucket: what is stale, their columns, how they are written."""
