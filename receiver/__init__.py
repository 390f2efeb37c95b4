"""HTTP in, landing file out: the durable edge that the collector posts to. Nothing here knows Postgres or Dagster."""
