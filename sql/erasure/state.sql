-- How far loads and tables are with the list of erasures, and since when landing files weren't looked through.
select announced, applied, swept from erasure_state;
