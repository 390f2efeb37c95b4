-- What the landing zone and a Parquet file hold, for the length of a transaction that sees one moment of the tables.
create temp table landed_files (
    key    text not null,
    lines  integer not null,
    sha256 text
) on commit drop;

create temp table landed_lines (
    event_id    uuid not null,
    landing_key text not null,
    line_number integer not null
) on commit drop;

create temp table parquet_ids (id text not null) on commit drop;
