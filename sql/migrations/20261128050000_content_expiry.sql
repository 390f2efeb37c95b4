-- How far the database and the landing zone are with content that has expired.
alter table erasure_state add column content_before timestamptz, add column content_swept timestamptz;

comment on column erasure_state.content_before is 'content of what was received before it is gone from landing zone, tables and snapshots';
comment on column erasure_state.content_swept is 'when the last look through the landing zone for content that has expired began that came to its end';
