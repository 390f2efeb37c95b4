-- The tables show the list of erasures as it was at this moment.
update erasure_state
set applied = %(revision)s
where applied is null or applied < %(revision)s;
