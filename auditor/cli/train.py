"""`medaudit train`: Part 1 of the paper."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from auditor.api import train
from auditor.cli.main import INTERRUPTED
from auditor.cli.terminal import TerminalProgress, messages, options_of, say_reports, settings_of
from auditor.report.words import figure
from auditor.settings import TrainingSettings
from auditor.sidecar import sidecar_path


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Model file to write, .h5 or .keras.",
)
@options_of(TrainingSettings)
def command(data: Path, output: Path, dense: str | None, **options: Any) -> None:
    """Train the paper's model on the images in DATA.

    DATA holds one folder of images per class, or such folders in `train` and `test`, or is an NPZ file with
    train_images, train_labels, test_images and test_labels. The defaults are the
    paper's: VGG-19 with ImageNet weights, frozen, and a new head, trained on 70% of the images.
    Ctrl-C keeps the best weights so far.
    """
    settings = settings_of(TrainingSettings, dense=dense.split(",") if dense else None, **options)
    result = train(data, output, settings, progress=TerminalProgress())
    test = result.sidecar.test
    click.echo(f"Accuracy on {test.images} held-out images: {figure(test.accuracy)}")
    click.echo(f"Model:  {result.model}")
    click.echo(f"        {sidecar_path(result.model)}")
    say_reports(result.reports)
    if result.sidecar.status == "interrupted":
        messages.print(
            f"Interrupted after {len(result.sidecar.history)} epochs; the weights of epoch "
            f"{result.sidecar.kept_epoch}, of lowest held-out loss, were kept."
        )
        sys.exit(INTERRUPTED)
