"""`medaudit verify`: check that an audit is what it was."""

from __future__ import annotations

from pathlib import Path

import click

from auditor.api import verify
from auditor.cli.terminal import TerminalProgress
from auditor.cli.text import inert

#: Exit code where anything does not verify.
BAD = 2


@click.command()
@click.argument("folder", metavar="AUDIT", type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="The model file: is it the one that was audited?")
@click.option("--data", type=click.Path(path_type=Path), help="The data folder or CSV file: are the images the same?")
@click.option("--key", type=click.Path(path_type=Path), help="Public key (Ed25519, PEM) of who is to have signed it.")
@click.pass_context
def command(context: click.Context, folder: Path, model: Path | None, data: Path | None, key: Path | None) -> None:
    """Check that the audit in the folder AUDIT is what it was when it was made.

    Every file is compared with manifest.json, and every figure of results.json is computed again from
    predictions.csv; neither the model nor a GPU is needed. Hashes and figures show damage, and changes made in one
    place; that nobody changed all of them together only a signature shows, and --key.

    Exit code 0 says that all that was checked is as it should be, 2 that something is not: each finding is a line.
    """
    result = verify(folder, model=model, data=data, key=key, progress=TerminalProgress())
    for finding in result.findings:
        click.echo(inert(f"{finding.what}: {finding.where}: {finding.words}."))
    for words in result.confirmed:
        click.echo(inert(f"Verified: {words}."))
    for words in result.unchecked:
        click.echo(inert(f"Not checked: {words}."))
    if not result.good:
        things = "1 thing does" if len(result.findings) == 1 else f"{len(result.findings)} things do"
        click.echo(f"{things} not verify.")
        context.exit(BAD)
