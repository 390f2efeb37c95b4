-- A table and its indexes in files of their own, without the room of deleted rows; and samples of what is there now.
vacuum (full, analyze) {table};
