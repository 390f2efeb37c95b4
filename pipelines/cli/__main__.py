"""Runs the command as `python -m pipelines.cli.main`."""

from pipelines.cli.main import main

main()
