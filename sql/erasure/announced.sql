-- Of when the list of erasures must be that a load goes by.
select announced from erasure_state;
