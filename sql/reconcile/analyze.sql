-- Without statistics of the temporary tables the database would compare them in nested loops.
analyze landed_files, landed_lines;
