copy parquet_ids (id) from stdin (format binary);
