"""The room of `wpp-lake doctor`: checks of everything that a lake stands on, each telling what it found.

Belongs here: findings, and the checks that need no Dagster. Not: Dagster's daemon (orchestration), how the
findings are shown (cli). Nothing here changes a landed file, a row or a setting.
"""
