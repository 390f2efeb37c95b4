-- The UTC hours that a listing found to have files which the ledger lacks, with the size of these files.
select hour, bytes from pending_hours order by hour;
