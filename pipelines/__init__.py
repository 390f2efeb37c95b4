"""Landing file in, rows and snapshots out: the loader, the snapshots, their Dagster assets, the `wpp-lake` command."""
