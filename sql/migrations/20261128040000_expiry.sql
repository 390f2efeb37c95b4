-- Which landing files have expired, so that no listing has to ask the landing bucket.
alter table erasure_state add column expired_below text;

comment on column erasure_state.expired_below is 'landing keys below it, in the order of their bytes, are of hours that have expired: their files are neither loaded nor missed';
