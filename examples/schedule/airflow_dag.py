"""Airflow 3: every month, a task for each model version that was not audited yet.

Copy it to the folder of DAGs and set the six values. Airflow needs no medaudit of its own: the script runs with the
Python of the environment in which medaudit is installed.
"""

import json
import subprocess
from datetime import timedelta

import pendulum
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

PYTHON = "/opt/medaudit/.venv/bin/python"
SCRIPT = "/opt/medaudit/audit_versions.py"
MODELS = "/srv/medaudit/models"
DATA = "/srv/medaudit/data"
AUDITS = "/srv/medaudit/audits"
OPTIONS = ["--config", "/etc/medaudit.toml"]

MEANING = {1: "a criterion of the policy failed", 2: "it could not be made", 3: "it is inconclusive"}


@dag(
    schedule="@monthly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["assurance"],
)
def medaudit_versions():
    """Find the versions, audit each."""

    @task
    def find() -> list[str]:
        """Paths of the versions without a finished audit."""
        command = [PYTHON, SCRIPT, "--list", MODELS, DATA, AUDITS, *OPTIONS]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    # An audit takes all processors there are; a retry goes on where it was stopped.
    @task(max_active_tis_per_dag=1, retries=2, retry_delay=timedelta(minutes=10))
    def audit(model: str) -> None:
        """Audit one version; the reports are in its folder."""
        command = [PYTHON, SCRIPT, model, DATA, AUDITS, *OPTIONS]
        code = subprocess.run(command, check=False).returncode
        if code in MEANING:
            raise AirflowFailException(f"The audit of {model} ended with exit code {code}: {MEANING[code]}.")
        if code:
            raise AirflowException(f"The audit of {model} was broken off with exit code {code}.")

    audit.expand(model=find())


medaudit_versions()
