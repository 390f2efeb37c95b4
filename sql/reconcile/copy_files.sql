copy landed_files (key, lines, sha256) from stdin (format binary);
