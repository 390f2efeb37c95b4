-- The ledger's entries of the given landing files.
select key, etag, size, sha256, lines, loaded, duplicates, quarantined
from landing_files
where key = any(%(keys)b);
