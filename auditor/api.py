"""What medaudit does, as three functions: `train`, `audit`, `render`. The command line is a thin layer over them."""

from __future__ import annotations

import shlex
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.errors import BadInputError
from auditor.files import make_folder, write_text
from auditor.progress import Progress, Silent
from auditor.record import FILE_NAME, AuditInfo, AuditRecord, read_record
from auditor.settings import AuditSettings, TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from auditor.report.render import Rendered
    from auditor.sidecar import Sidecar

#: Name of the table of predictions in an audit's folder.
PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class TrainResult:
    """A finished training.

    Attributes:
        sidecar: what was recorded beside the model; its `status` tells whether training was interrupted.
        model: the model file.
        reports: the training report.
    """

    sidecar: Sidecar
    model: Path
    reports: Rendered


@dataclass(frozen=True)
class AuditResult:
    """A finished audit.

    Attributes:
        record: the figures.
        folder: where everything was written.
        reports: the reports drawn from them.
    """

    record: AuditRecord
    folder: Path
    reports: Rendered


def train(
    data: str | PathLike[str],
    output: str | PathLike[str],
    settings: TrainingSettings | None = None,
    *,
    progress: Progress | None = None,
) -> TrainResult:
    """Train the paper's model on a folder of images; write it, its record and a training report.

    If the folder has parts `train` and `test` they are used; else the images are split class by class.

    Args:
        data: folder with one folder of images per class.
        output: the model file, ending in `.h5` or `.keras`.
        settings: how to train; default the paper's values. `weights` may be the path of a file.
        progress: told of the work.

    Raises:
        BadInputError: if the data, the settings or the output cannot be used.
        KeyboardInterrupt: if it is interrupted before the first epoch is done; nothing is written.
    """
    from auditor.data.split import training_sets
    from auditor.report.render import render_training
    from auditor.training.train import train as run

    chosen, weights, model = settings or TrainingSettings(), None, Path(output)
    if chosen.weights not in {"imagenet", "random"}:
        weights = Path(chosen.weights)
        if not weights.is_file():
            raise BadInputError(f"The weight file {weights} does not exist.")
        chosen = chosen.model_copy(update={"weights": weights.name})
    train_set, test_set = training_sets(Path(data), chosen, progress)
    sidecar = run(train_set, test_set, model, chosen, weights=weights, progress=progress)
    return TrainResult(sidecar, model, render_training(model, sidecar))


def audit(
    model: str | PathLike[str],
    data: str | PathLike[str],
    output: str | PathLike[str] | None = None,
    settings: AuditSettings | None = None,
    *,
    progress: Progress | None = None,
) -> AuditResult:
    """Audit a model and write the folder of the audit: record, predictions, reports, example pictures.

    Args:
        model: a Keras model file, `.h5` or `.keras`, that answers with softmax or logits.
        data: folder with one folder of test images per class, or with such a folder named `test`.
        output: the audit's folder, new or empty; default `audits/<model>-<UTC time>`.
        settings: the options; default a sweep of FGSM.
        progress: told of the work.

    Raises:
        BadInputError: if the model, the data or an option cannot be used; nothing is left behind.
    """
    from auditor.assessment import NO_VERDICT, assess_attack, assess_clean
    from auditor.attacks import ATTACKS
    from auditor.data.folder import class_folders
    from auditor.engine.examples import ExampleKeeper
    from auditor.engine.outcomes import predictions_csv
    from auditor.engine.plan import Plan, fitting_batch_size
    from auditor.engine.run import run
    from auditor.environment import describe
    from auditor.metrics.classification import direction
    from auditor.preparation import prepare

    chosen, listener = settings or AuditSettings(), progress or Silent()
    started, clock = datetime.now(UTC), time.perf_counter()
    if unknown := [name for name in chosen.attacks if name not in ATTACKS]:
        raise BadInputError(f"There is no attack named {', '.join(unknown)}; there are {', '.join(ATTACKS)}.")
    class_folders(Path(data))
    identity = f"{Path(model).stem}-{started:%Y%m%dT%H%M%SZ}"
    with _new_folder(Path(output) if output is not None else Path("audits") / identity) as folder:
        prepared = prepare(Path(model), Path(data), chosen, listener)
        subject, images = prepared.subject, prepared.tests.images
        plan = Plan(
            tuple(ATTACKS[name] for name in chosen.attacks),
            chosen.epsilons,
            chosen.batch_size or fitting_batch_size(subject.input_shape),
        )
        timings = {"prepare": time.perf_counter() - clock}
        keeper = ExampleKeeper(folder, images, chosen.attacks[0], plan.headline)
        outcomes, seconds = run(subject, images, plan, keeper, listener)
        record = AuditRecord(
            verdict=NO_VERDICT,
            audit=AuditInfo(
                id=identity,
                status="finished",
                started=f"{started:%Y-%m-%dT%H:%M:%SZ}",
                finished=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                tool_version=version("medaudit"),
                command=_command(prepared.model.path, prepared.data.path, chosen),
                seed=None,
                config=chosen,
                batch_size=plan.batch_size,
            ),
            model=prepared.model,
            data=prepared.data,
            headline_epsilon=plan.headline,
            critical=direction(*chosen.critical) if chosen.critical else None,
            clean=assess_clean(outcomes, images.classes),
            attacks=[assess_attack(outcomes, attack, epsilon, images.classes) for attack, epsilon in plan.cells],
            examples=keeper.examples,
            environment=describe(),
            timings={**timings, **seconds, "total": time.perf_counter() - clock},
        )
        write_text(folder / PREDICTIONS, predictions_csv(images, outcomes))
        # Last, in one step: a folder with a record is a finished audit.
        write_text(folder / FILE_NAME, record.model_dump_json(indent=1))
    return AuditResult(record, folder, render(folder, record))


def render(folder: str | PathLike[str], record: AuditRecord | None = None) -> Rendered:
    """Draw the reports of an audit, again if need be, from its `results.json` and `examples/` alone.

    Args:
        folder: of a finished audit.
        record: its record, if it is at hand.

    Raises:
        BadInputError: if the folder holds no readable record, or cannot be written.
    """
    from auditor.report.render import render_audit

    return render_audit(Path(folder), record or read_record(Path(folder)))


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Make the folder of an audit; if the audit fails, remove what it wrote."""
    existed = folder.is_dir()
    if folder.exists() and (not existed or any(folder.iterdir())):
        raise BadInputError(f"{folder} exists already and is not empty; choose another folder with -o.")
    make_folder(folder)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if existed:
            folder.mkdir(exist_ok=True)
        raise


def _command(model: str, data: str, settings: AuditSettings) -> str:
    """Build the command that repeats an audit from the folder of its model and data."""
    words = ["medaudit", "run", model, data]
    if settings.attacks != AuditSettings().attacks:
        words += [f"--attack={name}" for name in settings.attacks]
    words.append("--eps=" + ",".join(f"{epsilon * 255:.10g}/255" for epsilon in settings.epsilons))
    if settings.preprocessing:
        words.append(f"--preprocessing={settings.preprocessing}")
    if settings.classes:
        words += [f"--class={name}" for name in settings.classes]
    if settings.critical:
        words.append(f"--critical={':'.join(settings.critical)}")
    if settings.batch_size:
        words.append(f"--batch-size={settings.batch_size}")
    return shlex.join(words)
