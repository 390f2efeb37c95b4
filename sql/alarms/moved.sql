-- The store has the bytes that were loaded, under another etag; or those that an erasure has made of them.
update landing_files
set etag = %(etag)s, size = %(size)s, sha256 = %(sha256)s
where key = %(key)s;
