"""`medaudit report`: draw the reports of an audit again."""

from __future__ import annotations

from pathlib import Path

import click

from auditor.api import log_to_mlflow, render
from auditor.cli.terminal import say_reports


@click.command()
@click.argument("folder", metavar="AUDIT", type=click.Path(path_type=Path))
@click.option("--mlflow", is_flag=True, help="Log the audit to the MLflow server that MLFLOW_TRACKING_URI names, too.")
def command(folder: Path, mlflow: bool) -> None:
    """Draw the reports in the folder AUDIT again, from its results.json and examples/ alone."""
    say_reports(render(folder))
    if mlflow:
        click.echo(f"MLflow: run {log_to_mlflow(folder)}")
