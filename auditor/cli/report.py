"""`medaudit report`: draw the reports of an audit again."""

from __future__ import annotations

from pathlib import Path

import click

from auditor.api import log_to_mlflow, render
from auditor.cli.terminal import messages, say_reports


@click.command()
@click.argument("folder", metavar="AUDIT", type=click.Path(path_type=Path))
@click.option(
    "--sign",
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Sign the audit again, as `medaudit run --sign` does.",
)
@click.option("--mlflow", is_flag=True, help="Log the audit to the MLflow server that MLFLOW_TRACKING_URI names, too.")
def command(folder: Path, sign: Path | None, mlflow: bool) -> None:
    """Draw the reports in the folder AUDIT again, from its results.json and examples/ alone.

    The manifest is renewed for the reports, and for nothing else. A signature stays good if the reports are the same to
    the byte, as they are where the same versions draw them; else sign again.
    """
    from auditor.evidence.manifest import ATTESTATION, FILE_NAME

    manifest = folder / FILE_NAME
    before = manifest.read_bytes() if manifest.is_file() else b""
    say_reports(render(folder, sign=sign))
    if not sign and (folder / ATTESTATION).is_file() and manifest.read_bytes() != before:
        messages.print("The reports are others now than those that were signed; sign them with --sign.")
    if mlflow:
        click.echo(f"MLflow: run {log_to_mlflow(folder)}")
