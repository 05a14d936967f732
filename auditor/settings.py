"""The options of an audit and of a training, with their defaults and bounds."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from auditor.policy import Policy

#: Names of the ways of preprocessing; `auditor.models.preprocessing` says what each does.
PreprocessingName = Literal["unit", "raw", "tf", "caffe", "torch"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _distinct(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names and len(set(names)) < len(names):
        raise ValueError("a name is given twice")
    return names


def _rising(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))


_NUMBERS = r"[0-9.eE+-]+(?:,[0-9.eE+-]+)*"
_MEAN_AND_STD = re.compile(f"mean=({_NUMBERS}):std=({_NUMBERS})")


def mean_and_std(text: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Read `mean=0.485,0.456,0.406:std=0.229,0.224,0.225`: one number for all channels, or one for each.

    Both are on images in [0, 1]. Returns None if the text is of another form.

    Raises:
        ValueError: if the numbers cannot be meant.
    """
    found = _MEAN_AND_STD.fullmatch(text.replace(" ", ""))
    if not found:
        return None
    mean, std = (tuple(float(number) for number in part.split(",")) for part in found.groups())
    if len(mean) != len(std) or len(mean) not in (1, 3):
        raise ValueError("mean and std need one number each, or three each")
    if not all(math.isfinite(number) for number in (*mean, *std)) or min(std) <= 0:
        raise ValueError("mean and std are numbers, and std is above 0")
    if max(map(abs, mean)) > 1 or max(std) > 1:
        raise ValueError("mean and std are of images in [0, 1]: divide those of 8-bit images by 255")
    return mean, std


def _preprocessing(name: str | None) -> str | None:
    if name is None or name in get_args(PreprocessingName) or mean_and_std(name):
        return name
    raise ValueError(
        f"there are {', '.join(get_args(PreprocessingName))} and, with numbers for one or three channels, "
        "mean=M,M,M:std=S,S,S"
    )


class AuditSettings(_Settings):
    """The options of an audit."""

    attacks: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_distinct)] = ("fgsm",)
    """Names of attacks in `auditor.attacks.ATTACKS`."""
    epsilons: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1), AfterValidator(_rising)
    ] = tuple(step / 255 for step in (0.5, 1, 2, 4, 8))
    """Largest perturbations to try, on images in [0, 1]."""
    preprocessing: Annotated[str | None, AfterValidator(_preprocessing)] = None
    """What the model expects: a `PreprocessingName`, or what `mean_and_std` reads; None to take what was recorded at
    training, or to find it out."""
    head: Literal["softmax", "sigmoid", "logits"] | None = None
    """How the model's answers are to be read: as probabilities of classes that add up to 1, as probabilities each by
    itself, or as logits; None to find it out on the graph and the answers."""
    allow_unsafe: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = ()
    """SHA-256 of model files that may be loaded although something unsafe was found in them."""
    classes: Annotated[tuple[str, ...] | None, AfterValidator(_distinct)] = None
    """Class names in the order of the model's outputs; None for those recorded at training, or the folder names."""
    critical: tuple[str, str] | None = None
    """The clinically worst error: true class, predicted class."""
    precision: Literal["float32", "mixed"] | None = None
    """Number format of the gradients of iterative attacks: `mixed` is bfloat16 first and float32 for what survives;
    None for `mixed` with AMX or a GPU. Every figure is the float32 model's."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of every random choice."""
    batch_size: Annotated[int, Field(ge=1)] | None = None
    """Images in a batch; None to choose by the size of the input and the free memory."""
    policy: Policy | None = None
    """Acceptance criteria, declared before the audit."""
    follow_links: bool = False
    """Whether symbolic links may lead out of the data folder."""
    requested_by: str | None = None
    """Who asked for the audit, for the report."""
    responsible: str | None = None
    """Name and role of the responsible person, for the report."""


class TrainingSettings(_Settings):
    """The settings of a training; the defaults are the paper's (sections III-B2 to III-B4)."""

    image_size: Annotated[int, Field(ge=32)] = 224
    """Height and width of the input in pixels; the base halves them five times."""
    weights: str = "imagenet"
    """Weights of the base at the start: `imagenet`, `random`, or the name of a file."""
    width: Annotated[float, Field(gt=0, le=4)] = 1.0
    """Number of filters of the base, as a multiple of VGG-19's."""
    train_base: bool = False
    """Whether the base is trained too; the paper freezes it."""
    preprocessing: PreprocessingName = "unit"
    """What the model is to expect."""
    dense: tuple[Annotated[int, Field(ge=1)], ...] = (128, 64)
    """Units of the dense layers of the head before the output layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Dropout after the flattened base and after the first dense layer."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Of Adam."""
    epochs: Annotated[int, Field(ge=1)] = 15
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Images in a step."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the images that is held out, class by class."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 15.0
    """Training images are rotated by up to this many degrees either way."""
    rotated_copies: Annotated[int, Field(ge=1)] = 4
    """Rotated copies drawn of each training image; the epochs go through them in turn."""
    per_class: Annotated[int, Field(ge=2)] | None = None
    """Images drawn at random of each class; None for all."""
    follow_links: bool = False
    """Whether symbolic links may lead out of the data folder."""
    seed: int = 0
    """Of every random choice."""
