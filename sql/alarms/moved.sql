-- The store has the bytes that were loaded, under another etag.
update landing_files
set etag = %(etag)s
where key = %(key)s;
