-- How many entries the quarantine has, by state and reason.
select state, reason, count(*) from quarantined_events group by state, reason order by state, reason;
