"""`medaudit compare`: versions of a model side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from auditor.api import compare
from auditor.cli.config import ConfigurableCommand, given_options
from auditor.cli.options import audit_options, audit_settings
from auditor.cli.run import FAILED
from auditor.cli.summary import print_comparison
from auditor.cli.terminal import listener, log_format_option, say_reports
from auditor.comparison.versions import inherited
from auditor.record import FILE_NAME, read_record


@click.command(name="compare", cls=ConfigurableCommand)
@click.argument("versions", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the comparison.  [default: comparisons/<baseline>-<UTC time>]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The test images: needed to audit models; else for pictures of images newly broken and mended.",
)
@click.option("--fail-on-regression", is_flag=True, help="Exit code 1 if a version is worse than the first.")
@audit_options
@log_format_option
@click.pass_context
def command(
    context: click.Context,
    /,
    versions: tuple[Path, ...],
    output: Path | None,
    data: Path | None,
    fail_on_regression: bool,
    log_format: str,
    **options: Any,
) -> None:
    """Compare VERSIONS of a model, the first of which is the baseline.

    Each is the folder of a finished audit, or a model (a file, or a URI of MLflow), which is audited first on the
    images of --data with the options below (by default as the first audit given). All must have been put to the same
    images and the same attacks. Written are comparison.json, comparison.html, comparison.pdf and comparison.md.

    \b
    medaudit compare audits/v1 audits/v2
    medaudit compare v1.h5 v2.h5 --data data/ --suite standard
    """  # noqa: D301 - \b is click's mark for a paragraph to leave as it is
    finished = [version for version in versions if (version / FILE_NAME).is_file()]
    own = {"versions", "output", "data", "fail_on_regression", "log_format"}
    if len(finished) == len(versions) and (extra := [name for name in given_options(context) if name not in own]):
        raise click.UsageError(
            f"{', '.join(extra)}: options of an audit are for models, and every version given is audited already."
        )
    settings = audit_settings(inherited(read_record(finished[0])) if finished else {}, **options)
    progress = listener(log_format)
    result = compare(versions, output, data=data, settings=settings, progress=progress)
    print_comparison(result.comparison)
    say_reports(result.reports, progress)
    context.exit(FAILED if fail_on_regression and result.comparison.regressed else 0)
