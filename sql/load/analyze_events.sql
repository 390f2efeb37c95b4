-- Tell the planner how much was staged, of what it is joined by: sampling payloads would take longer than most steps.
analyze staged_events (event_id, body_sha256);
