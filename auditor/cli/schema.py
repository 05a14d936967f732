"""`medaudit schema`: print the contract."""

from __future__ import annotations

import json

import click

from auditor.record import schema


@click.command()
def command() -> None:
    """Print the JSON Schema of results.json."""
    click.echo(json.dumps(schema(), indent=2))
