-- Before the next Parquet file.
truncate parquet_ids;
