"""An audit from its beginning to its record: where the rooms come together."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import shlex
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from auditor.assessment import (
    assess_attacks,
    assess_clean,
    assess_failures,
    assess_smallest_epsilon,
    assess_subgroups,
    assess_worst_case,
)
from auditor.attacks import ATTACKS, SUITES, suite
from auditor.checks import check_all, foreseen
from auditor.comparison.versions import Audited, data_differences, read_audit, settings_differences
from auditor.data.pixels import unit
from auditor.data.split import check_data
from auditor.engine.cost import measure, peak_memory
from auditor.engine.examples import ExampleKeeper
from auditor.engine.journal import Header, Journal, is_empty, is_unfinished, read_header
from auditor.engine.plan import Plan, choose, critical_pair, fitting_batch_size
from auditor.engine.repeat import repeat
from auditor.engine.run import USUAL, estimates, run
from auditor.environment import describe, has_bfloat16, has_fast_bfloat16, now
from auditor.epsilon import exact_epsilon
from auditor.errors import BadInputError
from auditor.files import make_folder, write_text
from auditor.judgement import CONTROLS, Measured, verdict
from auditor.metrics.classification import direction
from auditor.policy import WORST
from auditor.predictions import FILE_NAME as PREDICTIONS
from auditor.predictions import predictions_csv
from auditor.preparation import Prepared, prepare
from auditor.record import FILE_NAME, AuditInfo, AuditRecord
from auditor.settings import AuditSettings
from auditor.tracking import fetched, is_uri, name_of, pinned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.models.subject import Subject
    from auditor.policy import Policy
    from auditor.progress import Progress
    from auditor.record import Environment


@dataclass(frozen=True)
class Work:
    """An audit that is ready to be carried out, from the start or from where it stopped.

    Attributes:
        folder: of the audit.
        prepared: model and test images.
        plan: what to do.
        journal: what is done.
        environment: what it is done with.
        seconds: spent on preparing.
        baseline: audit of the version to compare with, if there is one.
    """

    folder: Path
    prepared: Prepared
    plan: Plan
    journal: Journal
    environment: Environment
    seconds: float
    baseline: Audited | None


@dataclass(frozen=True)
class Forecast:
    """What an audit would do and take.

    Attributes:
        per_class: number of test images by class.
        skipped: number of files that cannot be read.
        plan: attacks, epsilons, batch size and cost of an image.
        seconds: estimated time of the attacks on a model without a defence.
        most: the same on a model that withstands every attack.
        memory: largest amount of memory in bytes; None where the system does not tell.
    """

    per_class: dict[str, int]
    skipped: int
    plan: Plan
    seconds: float
    most: float
    memory: int | None


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Make the folder of an audit; if the audit does not get to its attacks, remove what it wrote.

    Raises:
        BadInputError: if there is something in it already, or it cannot be written.
    """
    check_new(folder)
    existed = folder.is_dir()
    make_folder(folder)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if existed:
            folder.mkdir(exist_ok=True)
        raise


def check_new(folder: Path) -> None:
    """Raise `BadInputError` if there is something already where the folder of an audit is to be."""
    if is_unfinished(folder):
        raise BadInputError(
            f"{folder} holds an unfinished audit. Go on with `medaudit run --resume {shlex.quote(str(folder))}`, "
            "or choose another folder with -o."
        )
    if folder.exists() and not (folder.is_dir() and is_empty(folder)):
        raise BadInputError(f"{folder} exists already and is not empty; choose another folder with -o.")


def check_unfinished(folder: Path) -> Header:
    """Read what an unfinished audit is an audit of. Raises `BadInputError` if there is none that could go on."""
    if (folder / FILE_NAME).is_file() and not is_unfinished(folder):
        raise BadInputError(f"The audit in {folder} is finished; `medaudit report` draws its reports again.")
    return read_header(folder)


def begin(
    folder: Path,
    model: Path,
    data: Path,
    settings: AuditSettings,
    identity: str,
    started: str,
    progress: Progress,
    baseline: Path | None = None,
) -> Work:
    """Prepare an audit and begin its journal."""
    clock = time.perf_counter()
    before = read_audit(baseline) if baseline else None
    prepared, plan = _prepare(model, data, settings, progress)
    if before:
        _check_baseline(before, prepared, settings)
    environment = describe(prepared.subject.precision, _crafting(plan))
    header = Header(
        id=identity,
        started=started,
        model=model.as_posix() if is_uri(model) else str(model.resolve()),
        data=str(data.resolve()),
        settings=settings,
        batch_size=plan.batch_size,
        baseline=str(baseline.resolve()) if baseline else None,
        key=_key(prepared, plan, settings, environment),
    )
    journal = Journal.begin(folder, header, plan.names)
    _mark_prepared(prepared, plan, progress)
    return Work(folder, prepared, plan, journal, environment, time.perf_counter() - clock, before)


def reopen(folder: Path, model: Path | None, data: Path | None, progress: Progress) -> Work:
    """Prepare an unfinished audit again and make sure that nothing it depends on has changed."""
    clock = time.perf_counter()
    header = check_unfinished(folder)
    before = read_audit(Path(header.baseline)) if header.baseline else None
    make_folder(folder)
    settings = header.settings.model_copy(update={"batch_size": header.batch_size})
    prepared, plan = _prepare(model or Path(header.model), data or Path(header.data), settings, progress)
    environment = describe(prepared.subject.precision, _crafting(plan))
    journal = Journal(folder, header, plan.names)
    journal.check(_key(prepared, plan, header.settings, environment))
    _mark_prepared(prepared, plan, progress)
    return Work(folder, prepared, plan, journal, environment, time.perf_counter() - clock, before)


def carry_out(work: Work, progress: Progress) -> AuditRecord:
    """Run the attacks, or what is left of them, and write predictions and record.

    The journal is left for the caller to end, once the folder holds all that belongs into it.

    Raises:
        BadInputError: if the disk is full or the data change; the finished batches are kept.
    """
    prepared, plan, header = work.prepared, work.plan, work.journal.header
    images, settings = prepared.tests.images, header.settings
    keeper = ExampleKeeper(work.folder, images, plan.shown.name, plan.shown_epsilon)
    repetition = repeat(prepared.subject, images)
    outcomes = run(prepared.subject, images, plan, keeper, work.journal, progress)
    timings = {"prepare": work.seconds, **outcomes.seconds}
    checks = check_all(outcomes, plan, repetition.passes, [image.id for image in images.images], images.classes)
    clean = assess_clean(outcomes, images.classes)
    worst = assess_worst_case(outcomes, plan, images.classes, images.groups)
    attacks = assess_attacks(outcomes, plan, images.classes, math.prod(prepared.subject.input_shape))
    measured = Measured(clean, attacks, worst, checks, grouped=(prepared.data.groups or len(images)) < len(images))
    record = AuditRecord(
        verdict=verdict(settings.policy, measured, datetime.now(UTC).date()),
        audit=AuditInfo(
            id=header.id,
            status="finished",
            started=header.started,
            finished=now(),
            tool_version=version("medaudit"),
            command=_command(prepared.model.path, prepared.data.path, settings, plan),
            seed=settings.seed,
            config=settings,
            batch_size=plan.batch_size,
        ),
        model=prepared.model,
        data=prepared.data,
        headline_epsilon=plan.headline,
        critical=direction(*settings.critical) if settings.critical else None,
        clean=clean,
        attacks=attacks,
        worst_case=worst,
        smallest_epsilon=assess_smallest_epsilon(worst, clean.accuracy.count),
        subgroups=assess_subgroups(outcomes, plan, images.classes, images.subgroups),
        failures=assess_failures(outcomes),
        checks=checks,
        examples=keeper.examples,
        environment=work.environment.model_copy(update={"repeatability": repetition.words}),
        timings={**timings, "total": sum(timings.values())},
    )
    write_text(work.folder / PREDICTIONS, predictions_csv(images, outcomes))
    write_text(work.folder / FILE_NAME, record.model_dump_json(indent=1))
    _mark_outcome(record, progress)
    return record


def _mark_prepared(prepared: Prepared, plan: Plan, progress: Progress) -> None:
    progress.mark(
        "prepared",
        model_sha256=prepared.model.sha256,
        manifest_sha256=prepared.data.manifest_sha256,
        images=prepared.data.images,
        skipped=len(prepared.data.skipped),
        attacks=",".join(attack.name for attack in plan.attacks),
        epsilons=",".join(map(exact_epsilon, plan.epsilons)),
        batch_size=plan.batch_size,
        seed=plan.seed,
    )


def _mark_outcome(record: AuditRecord, progress: Progress) -> None:
    for check in record.checks:
        if check.status in ("WARN", "FAIL", "ERROR"):
            progress.mark("check", "warning", name=check.name, status=check.status, figure=check.figure)
    for criterion in record.verdict.criteria:
        progress.mark("criterion", name=criterion.name, status=criterion.status, observed=criterion.observed)


def _check_baseline(baseline: Audited, prepared: Prepared, settings: AuditSettings) -> None:
    """Refuse a baseline that was put to another test, before the long work."""
    differing = [
        *data_differences(baseline.record, prepared.data.manifest_sha256, prepared.model.classes),
        *settings_differences(baseline.record.audit.config, settings),
    ]
    if differing:
        raise BadInputError(
            f"{baseline.folder} can be no baseline of this audit: {'; '.join(differing)}. Give the same images and "
            "options, or leave out --baseline."
        )


def estimate(model: Path, data: Path, settings: AuditSettings, progress: Progress) -> Forecast:
    """Prepare an audit, try one batch, and say what the whole would take."""
    prepared, plan = _prepare(model, data, settings, progress)
    subject, images = prepared.subject, prepared.tests.images
    trial = min(plan.batch_size, len(images))
    with progress.task("Trying one batch", 1) as advance:
        pixels = unit(images.pixels(subject.size, subject.channels, 0, trial))
        targets = np.eye(subject.outputs, dtype=np.float32)[images.labels[:trial]]
        speed = measure(subject.classifier, pixels, targets)
        quick = measure(subject.estimator(coarse=True), pixels, targets) if plan.coarse else speed
        advance(1, "")
    usual, most = (
        sum(estimates(plan, speed, quick, len(images), standing).values()) * len(images) for standing in (USUAL, 1.0)
    )
    return Forecast(images.per_class, len(images.skipped), plan, usual, most, peak_memory())


def _prepare(model: Path, data: Path, settings: AuditSettings, progress: Progress) -> tuple[Prepared, Plan]:
    if unknown := [name for name in settings.attacks if name not in ATTACKS]:
        raise BadInputError(f"There is no attack named {', '.join(unknown)}; there are {', '.join(ATTACKS)}.")
    names = settings.attacks
    if "pgd-targeted" in names and not settings.critical:
        names = tuple(name for name in names if name != "pgd-targeted")
        if not names:
            raise BadInputError("pgd-targeted needs the critical error; name it with --critical.")
        progress.say("pgd-targeted is left out: name the critical error with --critical, for example malignant:benign.")
    # The cheapest errors first: loading a model takes a while.
    if settings.policy:
        check_policy(settings.policy, names, settings.epsilons, progress)
    check_data(data)
    with fetched(model) as file:
        prepared = prepare(file, data, settings, progress)
    if is_uri(model):
        named = {"path": pinned(model).as_posix(), "name": name_of(pinned(model))}
        prepared = replace(prepared, model=prepared.model.model_copy(update=named))
    subject = prepared.subject
    if settings.policy:
        settings.policy.check_classes(prepared.tests.images.classes)
    return prepared, Plan(
        choose(names),
        settings.epsilons,
        settings.batch_size
        or fitting_batch_size(subject.input_shape, subject.activations, psutil.virtual_memory().total),
        critical_pair(settings.critical, prepared.tests.images.classes),
        _coarse(subject, settings, names, progress),
        settings.seed,
    )


def check_policy(policy: Policy, names: Sequence[str], epsilons: tuple[float, ...], progress: Progress) -> None:
    """Make sure that an audit with these attacks answers a policy, and say if it cannot PASS.

    Raises:
        BadInputError: if a criterion or a required check has no answer.
    """
    plan = Plan(choose(names), epsilons, batch_size=1)
    checks = foreseen(plan)
    policy.check_plan(plan.measured, plan.decided, checks)
    if policy.asks_of_attacks and all(checks[name] for name in CONTROLS):
        progress.say(
            "No check will show that the attacks can win, so the verdict cannot be PASS: add --attack noise, or "
            "choose a suite."
        )
    for criterion in policy.criteria:
        attack = ATTACKS.get(criterion.attack)
        if criterion.figure == "eight_bit_accuracy" and attack and attack.pursues and attack.sweeps:
            raise BadInputError(
                f"The criterion {criterion.name!r} asks for the accuracy under {attack.name} after rounding to 8 bits, "
                "but that attack stops at its first success, short of what survives rounding. Ask for it in the "
                f"{WORST!r}."
            )


def _coarse(subject: Subject, settings: AuditSettings, names: Sequence[str], progress: Progress) -> bool:
    """Settle whether adversarial images are crafted in bfloat16 first: unasked where it is several times as fast.

    What survives is attacked twice, so that a bfloat16 that is only twice as fast loses where little falls.
    """
    if settings.precision == "mixed" and not has_bfloat16():
        progress.say("This processor does not compute in bfloat16: adversarial images are crafted in float32.")
    capable = has_bfloat16() if settings.precision == "mixed" else has_fast_bfloat16()
    if not (capable and any(ATTACKS[name].iterates for name in names) and settings.precision != "float32"):
        return False
    try:
        subject.estimator(coarse=True).logits(np.zeros((1, *subject.input_shape), np.float32), 1)
    except Exception as error:  # noqa: BLE001 - Keras raises whatever a layer does
        progress.say(f"The model does not compute in bfloat16 ({error}): adversarial images are crafted in float32.")
        return False
    return True


def _crafting(plan: Plan) -> str:
    return "bfloat16 first, then float32 for the images that survived" if plan.coarse else "float32"


def _key(prepared: Prepared, plan: Plan, settings: AuditSettings, environment: Environment) -> dict[str, str]:
    """Everything that the figures depend on, by a name for the user."""
    packages = ", ".join(f"{name} {number}" for name, number in environment.packages.items())
    return {
        "the model": prepared.model.sha256,
        "the test images": prepared.data.manifest_sha256,
        "the configuration": hashlib.sha256(settings.model_dump_json().encode()).hexdigest(),
        "the preprocessing": prepared.model.preprocessing.mode,
        "the batch size": str(plan.batch_size),
        "the precision": _crafting(plan),
        "the versions of the packages": f"Python {environment.python}, {packages}",
        "the processor": ", ".join((environment.cpu, *environment.gpu)),
    }


def _command(model: str, data: str, settings: AuditSettings, plan: Plan) -> str:
    """Build the command that repeats an audit from the folder of its model and data."""
    words = ["medaudit", "run"]
    if whole := [name for name in SUITES if suite(name) == settings.attacks]:
        words.append(f"--suite={whole[0]}")
    elif settings.attacks != AuditSettings().attacks:
        words += [f"--attack={name}" for name in settings.attacks]
    words.append("--eps=" + ",".join(map(exact_epsilon, settings.epsilons)))
    if settings.preprocessing:
        words.append(f"--preprocessing={settings.preprocessing}")
    if settings.head:
        words.append(f"--head={settings.head}")
    words += [f"--allow-unsafe={sha256}" for sha256 in settings.allow_unsafe]
    if settings.classes:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(settings.classes)
        words.append(f"--classes={line.getvalue()}")
    if settings.critical:
        words.append(f"--critical={':'.join(settings.critical)}")
    if settings.policy:
        words.append(f"--policy={settings.policy.file}")
    if settings.follow_links:
        words.append("--follow-links")
    if settings.seed:
        words.append(f"--seed={settings.seed}")
    if plan.coarse or settings.precision:
        words.append(f"--precision={'mixed' if plan.coarse else 'float32'}")
    words.append(f"--batch-size={plan.batch_size}")
    # A name that begins with a dash is no option.
    dashed = model.startswith("-") or data.startswith("-")
    return shlex.join([*words, *(["--"] if dashed else []), model, data])
