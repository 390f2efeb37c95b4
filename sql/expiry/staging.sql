-- The events that expire, for the length of the transaction: what has been observed and isn't a row yet is another thing.
create temp table if not exists expired_events (event_id uuid primary key) on commit drop;
