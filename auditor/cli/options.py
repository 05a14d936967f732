"""The options of an audit, for the commands that make one."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from auditor import attacks
from auditor.cli.terminal import settings_of
from auditor.epsilon import read_epsilon
from auditor.policy import read_policy
from auditor.settings import AuditSettings, PreprocessingName

if TYPE_CHECKING:
    from collections.abc import Callable


def parse_epsilons(context: click.Context, option: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """Parse `0.5/255,1/255` or `0.01,0.02` to fractions of the image range."""
    del context, option
    if text is None:
        return None
    values = []
    for part in text.split(","):
        try:
            value = read_epsilon(part)
        except ValueError as error:
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


_OPTIONS = (
    click.option(
        "--eps",
        callback=parse_epsilons,
        metavar="E,E,...",
        help="Largest perturbations on images in [0, 1], as 0.01 or 2/255.  [default: 0.5/255,1/255,2/255,4/255,8/255]",
    ),
    click.option(
        "--attack",
        multiple=True,
        metavar="NAME",
        help="Attack to run; may be repeated. `medaudit attacks` lists them.  [default: fgsm]",
    ),
    click.option(
        "--suite",
        type=click.Choice(attacks.SUITES),
        help="Run all attacks of a suite: quick (noise and fgsm), standard (those that the checks need), full.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "mixed"]),
        help="Gradients of iterative attacks: float32, or bfloat16 first and float32 for what survives (mixed). "
        "Figures are always the float32 model's.  [default: mixed with AMX or a GPU]",
    ),
    click.option("--seed", type=int, metavar="N", help="Of every random choice.  [default: 0]"),
    click.option(
        "--preprocessing",
        metavar="NAME",
        help=f"What the model expects: {', '.join(get_args(PreprocessingName))}, or the mean and standard deviation of "
        "images in [0, 1], as mean=0.5:std=0.25 or mean=0.485,0.456,0.406:std=0.229,0.224,0.225.  "
        "[default: as recorded at training, or found out]",
    ),
    click.option(
        "--head",
        type=click.Choice(["softmax", "sigmoid", "logits"]),
        help="How to read the model's answers: probabilities that add up to 1, probabilities each by itself, or "
        "logits.  [default: found out on the graph and the answers]",
    ),
    click.option(
        "--allow-unsafe",
        multiple=True,
        metavar="SHA256",
        help="Load a model in which something unsafe was found (`medaudit inspect`): its code runs with your rights. "
        "Its SHA-256 has to be typed out.",
    ),
    click.option(
        "--classes",
        callback=parse_names,
        metavar="NAME,NAME,...",
        help="Class names in the order of the model's outputs.  [default: recorded at training, or folder names, "
        "sorted]",
    ),
    click.option(
        "--critical",
        callback=parse_critical,
        metavar="TRUE:PREDICTED",
        help="The clinically worst error, for example malignant:benign.",
    ),
    click.option(
        "--batch-size", type=int, metavar="N", help="Images in a batch.  [default: by input size and free memory]"
    ),
    click.option(
        "--policy",
        type=click.Path(path_type=Path),
        help="TOML file of acceptance criteria; the verdict and the exit code follow from them.",
    ),
    click.option(
        "--follow-links",
        is_flag=True,
        default=None,
        help="Follow symbolic links that lead out of the data folder; without it they are listed as left out.",
    ),
    click.option("--requested-by", metavar="TEXT", help="Who asked for the audit; printed in the report."),
    click.option(
        "--responsible", metavar="TEXT", help="Name and role of the responsible person; printed in the report."
    ),
)


def audit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of an audit; `audit_settings` makes settings of them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def audit_settings(
    inherited: dict[str, Any],
    *,
    eps: tuple[float, ...] | None,
    attack: tuple[str, ...],
    suite: str | None,
    policy: Path | None,
    allow_unsafe: tuple[str, ...],
    **options: Any,
) -> AuditSettings:
    """Make settings of the options; what was not given is as inherited, or has its default.

    Raises:
        click.UsageError: if a value is out of its bounds.
        BadInputError: if the policy cannot be read.
    """
    members = attacks.suite(suite) if suite else ()
    given = {
        "epsilons": eps,
        "attacks": (*members, *(name for name in attack if name not in members)) or None,
        "policy": read_policy(policy) if policy else None,
        "allow_unsafe": tuple(sha256.lower() for sha256 in allow_unsafe) or None,
        **options,
    }
    return settings_of(AuditSettings, **inherited | {name: value for name, value in given.items() if value is not None})
