"""Measurements against ceilings of the same run. Each script runs from the repository's root; nothing imports them."""
