-- Tell the planner how much was staged: without it the steps fall into nested loops. Of the events only what they are
-- joined by: sampling the payloads would take longer than most steps.
analyze staged_events (event_id, group_jid, participant_jid, body_sha256, landing_key), staged_jids, staged_pairs, staged_groups;
