"""One landed line to a row, and everything its body shows. Pure functions: no database and no object store."""
