-- How far loads and tables are with the list of erasures.
select announced, applied from erasure_state;
