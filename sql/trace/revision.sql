-- Which change of the events received on a date was the last.
select revision::text from event_days where received_on = %(day)s;
