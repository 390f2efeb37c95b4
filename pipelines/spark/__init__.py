"""The tables and snapshots from the landing zone alone, on a cluster of Apache Spark. No other room imports this one."""
