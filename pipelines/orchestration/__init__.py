"""Dagster: assets, partitions, sensors, jobs and the processes that serve them.

Nothing else but the command knows Dagster.
"""
