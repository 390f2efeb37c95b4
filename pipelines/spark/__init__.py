"""Tables and snapshots from the landing zone alone, on a cluster of Apache Spark; no other room imports this one."""
