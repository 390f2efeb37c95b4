"""Gives Celery workers their app: the broker and the queue of dagster.yaml, and the tasks that are runs.

`celery -A pipelines.orchestration.celery_app worker -Q dagster -c 1` is one place for a run (docs/workers.md). Belongs
here: nothing else; no other module imports this one, which needs the extra `celery`.
"""

from functools import cache

import dagster as dg
from celery import Celery
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task


@cache
def _app() -> Celery:
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
        if not isinstance(launcher, CeleryRunLauncher):
            raise dg.DagsterInvariantViolationError("The dagster.yaml in DAGSTER_HOME names no CeleryRunLauncher")
        app = make_app(app_args=launcher.app_args())
    create_execute_job_task(app)
    create_resume_job_task(app)
    return app


def __getattr__(name: str) -> Celery:
    """Make the app when Celery asks for it: importing reads no settings."""
    if name != "app":
        raise AttributeError(name)
    return _app()
