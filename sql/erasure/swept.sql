-- The landing zone was looked through, beginning at this moment.
update erasure_state set swept = %(began)s;
