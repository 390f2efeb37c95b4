"""The project's SQL, one statement or one load step a file: migrations, load steps, snapshot queries."""
