-- The UTC hours that a listing found to have files which the ledger lacks.
select hour from pending_hours order by hour;
