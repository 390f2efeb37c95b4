-- How many entries of the quarantine are open, by their reason.
select reason, count(*) from quarantined_events where state = 'open' group by reason order by reason;
