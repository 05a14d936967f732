"""`medaudit report`: draw the reports of an audit again."""

from __future__ import annotations

from pathlib import Path

import click

from auditor.api import render
from auditor.cli.terminal import say_reports


@click.command()
@click.argument("folder", metavar="AUDIT", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Draw the reports in the folder AUDIT again, from its results.json and examples/ alone."""
    say_reports(render(folder))
