"""What `medaudit train` writes beside a model (`MODEL.medaudit.json`), and an audit reads there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from auditor.errors import BadInputError
from auditor.record import CleanResult, Environment, Skipped
from auditor.settings import PreprocessingName, TrainingSettings

if TYPE_CHECKING:
    from pathlib import Path


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("a class is named twice")
    return names


class SplitImage(_Part):
    """One image of a recorded split."""

    id: str
    """Path below the data folder."""
    sha256: str
    """SHA-256 of the file."""


class Split(_Part):
    """Which images a model was trained and tested on."""

    train: list[SplitImage]
    """The training part."""
    test: list[SplitImage]
    """The held-out part."""


class Epoch(_Part):
    """One epoch of the training history."""

    epoch: int
    """Number of the epoch, from 1."""
    loss: float
    """Mean training loss (categorical cross-entropy, natural logarithm)."""
    accuracy: float
    """Training accuracy, in [0, 1], on augmented images with dropout."""
    val_loss: float
    """Loss on the held-out images."""
    val_accuracy: float
    """Accuracy on the held-out images, in [0, 1]."""


class Sidecar(_Part):
    """The record of a training."""

    schema_version: int = 1
    """Version of this format."""
    status: str
    """`finished`, or `interrupted`."""
    kept_epoch: int
    """The epoch whose weights were kept: the last, or after an interruption the one of lowest `val_loss`."""
    started: str
    """UTC time, ISO 8601."""
    finished: str
    """UTC time, ISO 8601."""
    model_name: str
    """Name of the model file."""
    model_sha256: str
    """SHA-256 of the model file."""
    parameters: int
    """Number of weights of the model."""
    trainable_parameters: int
    """Number of those that training changed."""
    classes: Annotated[list[str], AfterValidator(_distinct)]
    """Class names in the order of the outputs."""
    preprocessing: PreprocessingName
    """What the model expects, as in `TrainingSettings`."""
    resize: str
    """How images were brought to the input size."""
    settings: TrainingSettings
    """The settings in force."""
    split: Split
    """The images of both parts."""
    skipped: list[Skipped]
    """Files that could not be read."""
    history: list[Epoch]
    """Loss and accuracy by epoch."""
    test: CleanResult
    """Performance of the kept weights on the held-out images."""
    environment: Environment
    """Versions and machine."""
    seconds: float
    """Time from reading the first image to the finished model."""


def sidecar_path(model: Path) -> Path:
    """Where the sidecar of a model lies: `model.h5` has `model.medaudit.json`, a folder `v1.2` `v1.2.medaudit.json`."""
    if model.is_dir():
        whole = model.absolute()
        return whole.with_name(f"{whole.name}.medaudit.json")
    return model.with_suffix(".medaudit.json")


def read_sidecar(model: Path) -> Sidecar | None:
    """Read the sidecar of a model, if it has one.

    Raises:
        BadInputError: if there is one and it cannot be read.
    """
    path = sidecar_path(model)
    if not path.is_file():
        return None
    try:
        return Sidecar.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise BadInputError(
            f"{path} is not a training record of this version ({reason}). Mend it, or move it away to go without."
        ) from error
