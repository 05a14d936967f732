"""`medaudit run`: audit a model."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import get_args

import click
from click.core import ParameterSource

from auditor.api import audit, forecast, resume
from auditor.attacks import SUITES, suite
from auditor.cli.summary import print_forecast, print_summary
from auditor.cli.terminal import TerminalProgress, say_reports, settings_of
from auditor.policy import read_policy
from auditor.settings import AuditSettings, PreprocessingName

#: Exit code of an audit that a criterion of its policy fails.
FAILED = 1

#: Exit code of an audit whose own checks say that an attack may have failed.
INCONCLUSIVE = 3


def parse_epsilons(context: click.Context, option: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """Parse `0.5/255,1/255` or `0.01,0.02` to fractions of the image range."""
    del context, option
    if text is None:
        return None
    values = []
    for part in text.split(","):
        numerator, slash, denominator = part.partition("/")
        try:
            value = float(numerator) / (float(denominator) if slash else 1.0)
        except (ValueError, ZeroDivisionError) as error:
            raise click.BadParameter(f"{part.strip()!r} is not a number like 0.01 or 2/255.") from error
        if not 0 < value <= 1:
            raise click.BadParameter(
                f"{part.strip()} is not above 0 and at most 1. Epsilon is a fraction of the image range; "
                f"for steps of an 8-bit image write for example 2/255."
            )
        values.append(value)
    return tuple(values)


def parse_names(context: click.Context, option: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    """Parse class names separated by commas; a name that holds a comma stands in double quotes."""
    del context, option
    return tuple(next(csv.reader([text], skipinitialspace=True))) if text else None


def parse_critical(context: click.Context, option: click.Parameter, text: str | None) -> tuple[str, str] | None:
    """Parse `malignant:benign`."""
    del context, option
    if text is None:
        return None
    true, colon, predicted = text.partition(":")
    if not (true and colon and predicted):
        raise click.BadParameter(f"{text!r} is not of the form TRUE:PREDICTED, for example malignant:benign.")
    return true, predicted


@click.command()
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the audit.  [default: audits/<model>-<UTC time>]",
)
@click.option(
    "--eps",
    callback=parse_epsilons,
    metavar="E,E,...",
    help="Largest perturbations on images in [0, 1], as 0.01 or 2/255.  [default: 0.5/255,1/255,2/255,4/255,8/255]",
)
@click.option(
    "--attack",
    "attacks",
    multiple=True,
    metavar="NAME",
    help="Attack to run; may be repeated. `medaudit attacks` lists them.  [default: fgsm]",
)
@click.option(
    "--suite",
    "chosen_suite",
    type=click.Choice(SUITES),
    help="Run all attacks of a suite: quick (noise and fgsm), standard (those that the checks need), full.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "mixed"]),
    help="Gradients of iterative attacks: float32, or bfloat16 first and float32 for what survives (mixed). Figures "
    "are always the float32 model's.  [default: mixed where the processor has bfloat16]",
)
@click.option("--seed", type=int, metavar="N", help="Of every random choice.  [default: 0]")
@click.option(
    "--preprocessing",
    type=click.Choice(get_args(PreprocessingName)),
    help="What the model expects.  [default: as recorded at training, or found out]",
)
@click.option(
    "--classes",
    callback=parse_names,
    metavar="NAME,NAME,...",
    help="Class names in the order of the model's outputs.  [default: recorded at training, or folder names, sorted]",
)
@click.option(
    "--critical",
    callback=parse_critical,
    metavar="TRUE:PREDICTED",
    help="The clinically worst error, for example malignant:benign.",
)
@click.option(
    "--batch-size", type=int, metavar="N", help="Images in a batch.  [default: by input size and free memory]"
)
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    help="TOML file of acceptance criteria; the verdict and the exit code follow from them.",
)
@click.option("--requested-by", metavar="TEXT", help="Who asked for the audit; printed in the report.")
@click.option("--responsible", metavar="TEXT", help="Name and role of the responsible person; printed in the report.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it would take, and do nothing.")
@click.option(
    "--resume",
    "unfinished",
    metavar="AUDIT",
    type=click.Path(path_type=Path),
    help="Go on with the unfinished audit in this folder, with the options it was begun with.",
)
@click.pass_context
def command(
    context: click.Context,
    /,
    model: Path | None,
    data: Path | None,
    output: Path | None,
    eps: tuple[float, ...] | None,
    attacks: tuple[str, ...],
    chosen_suite: str | None,
    policy_file: Path | None,
    dry_run: bool,
    unfinished: Path | None,
    **options: object,
) -> None:
    """Audit MODEL on the images in DATA.

    MODEL is a Keras file (.h5 or .keras) that answers with softmax or logits. DATA holds one folder of images
    per class; if it has a folder `test`, that is used, else the test part of the split recorded by
    `medaudit train`, else all images. Or DATA is a CSV file with the columns path and label, and if need be group
    (patient or lesion), split (of which test is used) and subgroup_NAME.

    Ctrl-C keeps what is done; --resume goes on. With --resume, MODEL and DATA are only needed where they were moved.
    Exit code 1 says that a criterion of the policy failed; 3 that a check of the attacks did: then the figures are no
    evidence of robustness.
    """
    progress = TerminalProgress()
    if unfinished:
        given = {"model", "data", "unfinished"}
        if extra := [p for p in context.params if p not in given and _is_given(context, p)]:
            raise click.UsageError(f"--resume goes on with the options of the audit; leave out {', '.join(extra)}.")
        result = resume(unfinished, model, data, progress=progress)
    elif not (model and data):
        raise click.UsageError("MODEL and DATA are needed, or --resume AUDIT.")
    else:
        if chosen_suite:
            members = suite(chosen_suite)
            attacks = (*members, *(name for name in attacks if name not in members))
        policy = read_policy(policy_file) if policy_file else None
        settings = settings_of(AuditSettings, epsilons=eps, attacks=attacks or None, policy=policy, **options)
        if dry_run:
            print_forecast(forecast(model, data, settings, progress=progress))
            return
        result = audit(model, data, output, settings, progress=progress)
    print_summary(result.record)
    say_reports(result.reports)
    context.exit({"FAIL": FAILED, "INCONCLUSIVE": INCONCLUSIVE}.get(result.record.verdict.status, 0))


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is not ParameterSource.DEFAULT
