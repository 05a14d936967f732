"""Everything an audit settles before the long work: model, test images, preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from auditor.data.folder import shown
from auditor.data.images import RESIZE, unit
from auditor.data.split import TestSet, find_test_set
from auditor.errors import BadInputError
from auditor.files import sha256_file
from auditor.models.preprocessing import MODES, choose_by_trial
from auditor.models.subject import FORMATS, Subject, load
from auditor.record import DataInfo, Duplicate, ModelInfo, Preprocessing, PreprocessingScore, Skipped
from auditor.sidecar import Sidecar, read_sidecar

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from auditor.data.imageset import ImageSet
    from auditor.models.preprocessing import Mode
    from auditor.progress import Progress
    from auditor.settings import AuditSettings

#: Images on which the candidates are tried where the preprocessing has to be found out.
TRIAL_IMAGES = 64


@dataclass(frozen=True)
class Prepared:
    """A model and its test images, ready for the attacks.

    Attributes:
        subject: the model.
        tests: the test images.
        model: what the record says of the model.
        data: what the record says of the images.
    """

    subject: Subject
    tests: TestSet
    model: ModelInfo
    data: DataInfo


def prepare(model: Path, data: Path, settings: AuditSettings, progress: Progress) -> Prepared:
    """Load the model, find its test images and settle what it expects.

    Raises:
        BadInputError: if the model or the data cannot be used, or do not fit together.
    """
    if not model.is_file():
        raise BadInputError(f"The model file {model} does not exist.")
    sha256 = sha256_file(model)
    sidecar = _sidecar_of(model, sha256)
    classes = settings.classes or (tuple(sidecar.classes) if sidecar else None)
    recorded = sidecar.split if sidecar else None
    tests = find_test_set(data, classes, recorded, progress, follow_links=settings.follow_links)
    names = tests.images.classes
    if settings.critical and (settings.critical[0] == settings.critical[1] or not set(settings.critical) <= set(names)):
        raise BadInputError(
            f"The critical error {':'.join(settings.critical)} does not name two of the classes "
            f"{', '.join(map(repr, names))}."
        )
    subject = load(model)
    if len(names) != subject.outputs:
        raise BadInputError(
            f"{model} distinguishes {subject.outputs} classes, but {data} has {len(names)}: "
            f"{', '.join(map(repr, names))}."
        )
    preprocessing = _settle(subject, tests.images, settings, sidecar, progress)
    _check_logits(subject, tests.images)
    _check_gradient(subject)
    return Prepared(
        subject,
        tests,
        ModelInfo(
            path=model.name,
            sha256=sha256,
            name=model.stem,
            format=FORMATS[model.suffix],
            architecture=subject.architecture,
            input_shape=subject.input_shape,
            parameters=int(subject.model.count_params()),
            classes=list(names),
            head=subject.head,
            preprocessing=preprocessing,
        ),
        DataInfo(
            path=shown(data.resolve().name),
            split=tests.chosen,
            manifest_sha256=tests.images.manifest_sha256,
            images=len(tests.images),
            per_class=tests.images.per_class,
            groups=len(set(tests.images.groups)) if tests.images.groups else None,
            recorded=tests.recorded,
            left_out=tests.left_out,
            skipped=[Skipped(path=file.id, reason=file.reason) for file in tests.images.skipped],
            train_overlap=tests.train_overlap,
            resize=RESIZE,
            overlap=list(tests.overlap or ()),
            overlap_with=tests.overlap_with,
            duplicates=_duplicates(tests.images),
            conversions=tests.images.conversions,
        ),
    )


def _duplicates(images: ImageSet) -> list[Duplicate]:
    """List the images that are byte for byte the same, for the record."""
    return [
        Duplicate(
            images=[image.id for image in same],
            classes=sorted({images.classes[image.label] for image in same}),
        )
        for same in images.duplicates
    ]


def _sidecar_of(model: Path, sha256: str) -> Sidecar | None:
    """Read the training record beside a model, if there is one, and make sure that it is the model's own."""
    sidecar = read_sidecar(model)
    if sidecar and sidecar.model_sha256 != sha256:
        raise BadInputError(
            f"The training record beside {model} belongs to another file (its SHA-256 differs). Train again, or "
            "move the record away and say with --classes and --preprocessing what the model expects."
        )
    return sidecar


def _check_logits(subject: Subject, images: ImageSet) -> None:
    """Refuse a model that was taken to answer with logits and answers with probabilities."""
    if subject.head != "logits":
        return
    answers = subject.classifier.predict(unit(images.pixels(subject.size, subject.channels, 0, min(4, len(images)))))
    if (answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=1e-3):
        raise BadInputError(
            f"{subject.path} answers with probabilities, but not by a softmax at its end: the logits cannot be "
            "reached, and an attack on probabilities proves nothing. Save the model so that it ends in its logits."
        )


def _check_gradient(subject: Subject) -> None:
    """Refuse a model with an operation that TensorFlow cannot differentiate."""
    image = np.zeros((1, *subject.input_shape), np.float32)
    try:
        subject.classifier.loss_gradient(image, np.eye(subject.outputs, dtype=np.float32)[:1])
    except Exception as error:  # TensorFlow raises whatever it was that failed
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise BadInputError(
            f"{subject.path} cannot be attacked: its gradient cannot be computed ({reason})."
        ) from error


def _settle(
    subject: Subject, images: ImageSet, settings: AuditSettings, sidecar: Sidecar | None, progress: Progress
) -> Preprocessing:
    """Settle the preprocessing of the subject and say how it was chosen."""
    scored: list[PreprocessingScore] = []
    if settings.preprocessing:
        subject.mode, how = MODES[settings.preprocessing], "given by the user"
        if not subject.mode.fits(subject.channels):
            raise BadInputError(f"Preprocessing {settings.preprocessing} is for RGB; {subject.path} takes greyscale.")
    elif sidecar:
        subject.mode, how = MODES[sidecar.preprocessing], "recorded when the model was trained"
    elif subject.own_preprocessing:
        subject.mode = MODES["raw"]
        how = f"the model scales its input itself (layer {subject.own_preprocessing})"
    else:
        rows = np.unique(np.linspace(0, len(images) - 1, min(TRIAL_IMAGES, len(images))).round().astype(int))
        pixels = np.concatenate([images.pixels(subject.size, subject.channels, i, i + 1) for i in rows.tolist()])
        candidates = sum(mode.fits(subject.channels) for mode in MODES.values())
        with progress.task("Finding out the preprocessing", candidates) as advance:

            def predict(mode: Mode) -> NDArray[np.int64]:
                answer: NDArray[np.int64] = subject.predict_with(mode, unit(pixels)).argmax(axis=1)
                advance(1, mode.name)
                return answer

            subject.mode, trials = choose_by_trial(predict, images.labels[rows], subject.channels)
        scored = [PreprocessingScore(mode=trial.mode.name, accuracy=trial.accuracy) for trial in trials]
        how = f"found out: the best of {len(trials)} candidates on {len(rows)} of the test images"
        progress.say(
            f"Preprocessing {subject.mode.name!r} ({subject.mode.words}) was found out by trial; "
            "if that is not what the model expects, say so with --preprocessing."
        )
    return Preprocessing(
        mode=subject.mode.name,
        words=subject.mode.words,
        how_chosen=how,
        input_range=subject.mode.input_range,
        scale=list(subject.mode.scale),
        scored=scored,
    )
