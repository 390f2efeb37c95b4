-- Groups, people or addresses have changed: a snapshot of theirs that holds an older revision is stale.
update state_revision
set revision = default;
