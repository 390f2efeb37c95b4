-- The lines of a landing file that left the quarantine are loaded ones, or duplicates.
update landing_files
set quarantined = quarantined - %(lines)s,
    loaded = loaded + %(loaded)s,
    duplicates = duplicates + %(lines)s - %(loaded)s
where key = %(key)s;
