-- What is in quarantine of landing files of a stretch of keys, in the order of their bytes; of later ones what has come
-- since the last look.
select landing_key
from quarantined_events
where case
    when landing_key collate "C" < %(below)s
        then %(first)s::text is null or landing_key collate "C" >= %(first)s
    else %(swept)s::timestamptz is null or first_seen >= %(swept)s
end
group by landing_key
order by landing_key;
