-- A view of sql/views, over the snapshots.
create view {view} as
{text};
