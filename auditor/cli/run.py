"""`medaudit run`: audit a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from auditor import api
from auditor.cli.config import ConfigurableCommand, given_options
from auditor.cli.options import audit_options, audit_settings
from auditor.cli.summary import one_line, print_comparison, print_forecast, print_summary
from auditor.cli.terminal import listener, log_format_option, say_reports
from auditor.comparison.versions import inherited
from auditor.record import read_record
from auditor.tracking import check_server

#: Exit code of an audit that a criterion of its policy fails, and of a regression where that was asked.
FAILED = 1

#: Exit code of an audit whose own checks say that an attack may have failed.
INCONCLUSIVE = 3


@click.command(name="run", cls=ConfigurableCommand)
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the audit.  [default: audits/<model>-<UTC time>]",
)
@audit_options
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="AUDIT",
    help="Audit of the previous version: its attacks are the default, and the report says what has changed.",
)
@click.option(
    "--sign",
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Sign the audit with this private key (Ed25519, PEM); its passphrase, if it has one, is in "
    "MEDAUDIT_SIGN_PASSPHRASE.",
)
@click.option("--fail-on-regression", is_flag=True, help="With --baseline: exit code 1 if the version is worse.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it would take, and do nothing.")
@click.option(
    "--resume",
    metavar="AUDIT",
    type=click.Path(path_type=Path),
    help="Go on with the unfinished audit in this folder, with the options it was begun with.",
)
@click.option(
    "--mlflow",
    is_flag=True,
    help="Log the audit to the MLflow server that MLFLOW_TRACKING_URI names: parameters, metrics, verdict and the "
    "whole folder.",
)
@log_format_option
@click.pass_context
def command(
    context: click.Context,
    /,
    model: Path | None,
    data: Path | None,
    output: Path | None,
    baseline: Path | None,
    sign: Path | None,
    fail_on_regression: bool,
    dry_run: bool,
    resume: Path | None,
    mlflow: bool,
    log_format: str,
    **options: Any,
) -> None:
    """Audit MODEL on the images in DATA.

    MODEL is a Keras file (.h5 or .keras), the folder of a TensorFlow SavedModel, or one of these in MLflow:
    models:/NAME/VERSION, models:/NAME@ALIAS or runs:/RUN/PATH. It tells classes apart by a softmax, a sigmoid or
    logits. It is inspected before it is loaded, and refused if that is not safe. DATA holds one folder of images per
    class; if it has a folder `test`, that is used, else the test part of the split recorded by
    `medaudit train`, else all images. Or DATA is a CSV file with the columns path and label, and if need be group
    (patient or lesion), split (of which test is used) and subgroup_NAME; or an NPZ file with test_images and
    test_labels. Images are PNG, JPEG, TIFF, BMP, WebP, GIF or DICOM.

    Ctrl-C keeps what is done; --resume goes on. With --resume, MODEL and DATA are only needed where they were moved.
    Exit code 1 says that a criterion of the policy failed, or with --fail-on-regression that the version is worse than
    its baseline; 3 that a check of the attacks did: then the figures are no evidence of robustness.
    """
    progress = listener(log_format)
    if mlflow:
        check_server()
    if resume:
        own = {"model", "data", "resume", "sign", "mlflow", "log_format", "fail_on_regression"}
        if extra := [name for name in given_options(context) if name not in own]:
            raise click.UsageError(f"--resume goes on with the options of the audit; leave out {', '.join(extra)}.")
        result = api.resume(resume, model, data, sign=sign, progress=progress)
    elif not (model and data):
        raise click.UsageError("MODEL and DATA are needed, or --resume AUDIT.")
    elif fail_on_regression and not baseline:
        raise click.UsageError("--fail-on-regression needs a version to compare with; name it with --baseline.")
    else:
        settings = audit_settings(inherited(read_record(baseline)) if baseline else {}, **options)
        if dry_run:
            print_forecast(api.forecast(model, data, settings, progress=progress))
            return
        result = api.audit(model, data, output, settings, baseline=baseline, sign=sign, progress=progress)
    print_summary(result.record)
    if result.comparison:
        print_comparison(result.comparison)
    say_reports(result.reports, progress)
    try:
        if mlflow:
            click.echo(f"MLflow: run {api.log_to_mlflow(result.folder)}")
    finally:
        click.echo(one_line(result.record, result.folder))
    if fail_on_regression and result.comparison and result.comparison.regressed:
        context.exit(FAILED)
    context.exit({"FAIL": FAILED, "INCONCLUSIVE": INCONCLUSIVE}.get(result.record.verdict.status, 0))
