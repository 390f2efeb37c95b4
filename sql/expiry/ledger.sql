-- The ledger's entries of landing files that have expired: how many, and how many events they brought.
with gone as (
    delete from landing_files where key collate "C" < %(below)s
    returning loaded
)
select count(*), coalesce(sum(loaded), 0)::bigint from gone;
