"""The project's SQL, one statement or one load step per file: migrations, load steps, snapshot queries."""
