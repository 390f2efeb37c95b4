-- Fill the present file of the write-ahead log up with zeros, and go on with the next. A file without a record stays the
-- present one, so it gets one.
select pg_switch_wal() from (select pg_logical_emit_message(false, 'wpp-lake', 'scrub')) written;
