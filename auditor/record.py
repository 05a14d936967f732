"""The record of an audit: `results.json`, the public contract that every report is drawn from.

Fractions are in [0, 1], intervals are 95%, epsilon is on images in [0, 1] unless a name says `_255`, and
times are UTC in ISO 8601. Rows of a confusion matrix are true classes, columns predicted ones, both in the
order of `model.classes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from auditor.files import read_json
from auditor.settings import AuditSettings

if TYPE_CHECKING:
    from pathlib import Path

#: Version of the format this package writes.
SCHEMA_VERSION: Literal[1] = 1

#: Name of the file in an audit's folder.
FILE_NAME = "results.json"


class _Part(BaseModel):
    # Readers of one version accept records to which a later one has added fields.
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        protected_namespaces=(),
        ser_json_inf_nan="null",
    )


class Estimate(_Part):
    """A figure with its 95% interval."""

    value: float
    """The point estimate."""
    low: float
    """Lower bound of the interval."""
    high: float
    """Upper bound of the interval."""


class Proportion(Estimate):
    """A share of a counted whole; Wilson interval, Clopper-Pearson at 0 and at the whole."""

    count: int
    """Numerator."""
    of: int
    """Denominator."""


class ClassScores(_Part):
    """One row of a classification report."""

    precision: float | None
    """Null where nothing was predicted as the class."""
    recall: float | None
    """Null where the class has no images."""
    f1_score: float | None
    """Harmonic mean of precision and recall; null where both are undefined."""
    support: int
    """Number of images."""


class ClassificationReport(_Part):
    """scikit-learn's classification report."""

    classes: dict[str, ClassScores]
    """A row for each class, in the order of the classes."""
    macro_avg: ClassScores
    """Unweighted mean over the classes; an undefined figure counts as 0."""
    weighted_avg: ClassScores
    """Mean over the classes weighted by support; an undefined figure counts as 0."""


class ReliabilityBin(_Part):
    """Images whose confidence lies in one interval."""

    low: float
    """Lower edge of the confidence, in [0, 1]."""
    high: float
    """Upper edge."""
    confidence: float
    """Mean confidence of the images in the bin."""
    accuracy: Proportion
    """Share of them that is classified correctly."""


class Calibration(_Part):
    """How far confidence can be taken at its word."""

    ece: float
    """Expected calibration error over the bins, in [0, 1]."""
    ece_interval: tuple[float, float] | None = None
    """Its bootstrap interval."""
    brier: float
    """Brier score: mean over images of the squared error summed over classes, in [0, 2]."""
    brier_interval: tuple[float, float] | None = None
    """Its bootstrap interval."""
    bins: list[ReliabilityBin]
    """The bins of equal width that hold images."""


class Performance(_Part):
    """What one set of predictions is worth."""

    images: int
    """Number of images, the denominator of `accuracy`."""
    accuracy: Proportion
    """Share of all images that is classified correctly."""
    confusion_matrix: list[list[int]]
    """Rows true classes, columns predicted ones."""
    classification_report: ClassificationReport
    """Precision, recall and F1 by class."""
    sensitivity: dict[str, Proportion]
    """By class: the share of its images that is called by its name."""
    specificity: dict[str, Proportion]
    """By class: the share of the other images that is not called by its name."""
    precision: dict[str, Proportion] = {}
    """By class: the share of the images called by its name that is of it; classes never predicted are left out."""
    f1_score: dict[str, Estimate] = {}
    """By class: harmonic mean of precision and sensitivity; bootstrap interval."""
    auroc: dict[str, Estimate]
    """By class: area under the ROC curve of the class against the rest."""
    flips: dict[str, Proportion]
    """Errors by direction, `true->predicted`: of the images of the true class."""
    wrong_confidence: dict[str, float | None]
    """Median confidence of the errors of each direction of `flips`, in [0, 1]; null where there is none."""
    calibration: Calibration
    """Reliability of the confidences."""


class CleanResult(Performance):
    """Performance on the images as they are."""


class Spread(_Part):
    """A quantity over the images."""

    low: float
    """Smallest value."""
    median: float
    """Median."""
    high: float
    """Largest value."""


class Perceptibility(_Part):
    """Size of the perturbations over the images that changed, on images in [0, 1]; null where none did."""

    changed: int
    """Number of images that the attack changed."""
    linf: Spread | None
    """Largest change of any value of the image."""
    l2: Spread | None
    """Euclidean norm of the change."""
    psnr: Spread | None
    """Peak signal-to-noise ratio in dB."""
    ssim: Spread | None
    """Structural similarity, 1 for equal images."""
    unchanged: int
    """For a single step along the gradient: images first classified correctly that it left as they were."""


class EightBit(_Part):
    """The adversarial images rounded to 8 bits, as a file would store them, and judged again."""

    accuracy: Proportion
    """Share of the images that is classified correctly after rounding."""
    lost: int
    """Wrong answers that rounding undid."""


class AttackResult(Performance):
    """One attack at one epsilon."""

    name: str
    """Name of the attack, as in `--attack`."""
    title: str
    """Name in words."""
    norm: str
    """Norm that epsilon bounds."""
    epsilon: float | None
    """Largest perturbation allowed, in L-inf; null where no epsilon bounds the attack."""
    epsilon_255: float | None
    """The same in steps of an 8-bit image."""
    radius: float | None
    """The bound in the attack's own norm: epsilon in L-inf; in L2 epsilon times the root of the number of values."""
    knowledge: str
    """What the attacker knows: `white-box`, `score-based`, `decision-based`, or `none` for random noise."""
    atlas: str | None
    """Technique of MITRE ATLAS 5.6.0."""
    nist: str | None
    """Attack of NIST AI 100-2e2025."""
    remedy: int | None
    """Images on which the margin loss took the place of a gradient that had vanished; null for other attacks."""
    reference: str
    """Where the attack was published."""
    parameters: dict[str, str | int | float | bool | None]
    """Every parameter of the attack."""
    accuracy_drop: Estimate
    """Clean accuracy less the accuracy here, paired by image; Newcombe's method 10."""
    success_rate: Proportion | None
    """Share of the images first classified correctly that is now classified wrongly; null if none was."""
    perceptibility: Perceptibility
    """Size of the perturbations."""
    eight_bit: EightBit
    """After rounding to 8 bits."""


class WorstCase(_Part):
    """The worst that any attack did to each image, at one epsilon."""

    epsilon: float
    """Largest perturbation allowed, in L-inf."""
    images: int
    """Number of images, the denominator of `accuracy`."""
    accuracy: Proportion
    """Share of all images that is classified correctly under every attack: robust accuracy."""
    success_rate: Proportion | None
    """Share of the images first classified correctly that some attack won; null if none was."""
    sensitivity: dict[str, Proportion]
    """By class: the share of its images that is called by its name under every attack."""
    accuracy_drop: Estimate
    """Clean accuracy less this one, paired by image."""
    eight_bit: Proportion
    """The same with every adversarial image rounded to 8 bits, as a file would store it."""
    clustered: Estimate | None
    """Accuracy with an interval that takes images of one group together; null where the data name no groups."""
    attacks: list[str]
    """Names of the attacks."""


class Flipped(_Part):
    """Images that some attack wins at this epsilon and at no smaller one of the sweep."""

    epsilon: float
    """In L-inf."""
    count: int
    """Number of images."""


class Subgroup(_Part):
    """Images that share a value of a column, for example a site or a device."""

    column: str
    """Name of the column."""
    value: str
    """Its value."""
    images: int
    """Number of images."""
    clean: Proportion | None
    """Accuracy without an attack; null where the images are too few to say."""
    worst_case: Proportion | None
    """Accuracy under the worst case over the attacks at the headline epsilon; null where none was run."""
    sensitivity: dict[str, Proportion]
    """By class, under that worst case; classes with too few images are left out."""


class SmallestEpsilon(_Part):
    """The smallest epsilon of the sweep at which some attack wins an image, over those first classified correctly."""

    median: float | None
    """Null where at least half of the images withstand the whole sweep."""
    counts: list[Flipped]
    """By rising epsilon."""
    withstood: int
    """Images that no attack of the sweep won."""
    of: int
    """Images first classified correctly."""


class AttackFailure(_Part):
    """An attack that crashed: it says nothing of the model."""

    name: str
    """Of the attack."""
    epsilon: float | None
    """At which it crashed."""
    reason: str
    """What it raised."""


class Check(_Part):
    """One check of the attacks."""

    name: str
    """Short name."""
    title: str
    """The question it answers, in words."""
    status: Literal["PASS", "WARN", "FAIL", "ERROR", "SKIPPED"]
    """`FAIL` and `ERROR` make the audit inconclusive."""
    figure: str
    """What was measured, in words."""
    threshold: str
    """What was asked, in words."""
    reason: str
    """Why, in words."""
    images: list[str]
    """Ids of the images concerned."""


class Prediction(_Part):
    """What the model says of one image."""

    predicted: str
    """Class name."""
    confidence: float
    """Its softmax probability, in [0, 1]."""


class Example(_Part):
    """One image, the attack on it, and their pictures below the audit's folder."""

    id: str
    """Of the image."""
    label: str
    """Ground truth."""
    attack: str
    """Name of the attack."""
    epsilon: float | None
    """Of the attack."""
    clean: Prediction
    """Before."""
    adversarial: Prediction
    """After."""
    linf: float
    """Norm of the perturbation."""
    l2: float
    """Norm of the perturbation."""
    psnr: float | None
    """In dB; null if the image is unchanged."""
    ssim: float
    """Structural similarity."""
    original_file: str
    """PNG of the image at the model's input size."""
    perturbation_file: str
    """PNG of the perturbation, -epsilon black, 0 grey, +epsilon white."""
    adversarial_file: str
    """PNG of the adversarial image, rounded to 8 bits."""


class Skipped(_Part):
    """A file that was left out."""

    path: str
    """Below the data folder."""
    reason: str
    """In words."""


class PreprocessingScore(_Part):
    """How one way of preprocessing fared on the clean images."""

    mode: str
    """Name of the mode."""
    accuracy: Proportion
    """On the images it was tried on."""


class Preprocessing(_Part):
    """How images in [0, 1] are brought to the values the model expects."""

    mode: str
    """Name of the mode."""
    words: str
    """What it does, in words."""
    how_chosen: str
    """In words: given, recorded at training, part of the model, or found by trying."""
    input_range: tuple[float, float]
    """Smallest and largest value that reaches the model."""
    scale: list[float]
    """Factor from epsilon on images in [0, 1] to the model's own units: one for all channels, or one for each."""
    scored: list[PreprocessingScore] = []
    """What it and the alternatives scored on some of the test images, best first."""


def _known(given: Any) -> Any:
    """Keep the options this version knows: a record of a later one may hold more."""
    if isinstance(given, dict):
        return {name: value for name, value in given.items() if name in AuditSettings.model_fields}
    return given


class AuditInfo(_Part):
    """Which audit this is."""

    id: str
    """Name of the audit: model and UTC time."""
    status: Literal["finished"]
    """Only finished audits have a record."""
    started: str
    """UTC time."""
    finished: str
    """UTC time."""
    tool_version: str
    """Version of medaudit."""
    command: str
    """The command that repeats the audit."""
    seed: int | None
    """Of every random choice."""
    config: Annotated[AuditSettings, BeforeValidator(_known)]
    """The options as they were given or by default."""
    batch_size: int
    """Images in a batch."""


class ModelInfo(_Part):
    """What was audited."""

    path: str
    """Name of the file or folder, or the MLflow URI of the model."""
    sha256: str
    """SHA-256 of the file; of a folder that of the lines `<SHA-256>  <path>` of its files, sorted by path."""
    name: str
    """Name of the model."""
    format: str
    """Format of the file."""
    written_by: str | None = None
    """Version that wrote the file, as it says itself; null if it does not."""
    loader: str = ""
    """Version that loaded it."""
    unsafe: list[str] = []
    """What in the file could run code or reach other files, and was loaded because the user typed its SHA-256."""
    architecture: str
    """The layers, counted by kind."""
    input_shape: tuple[int, int, int]
    """Height, width and channels."""
    channels_first: bool = False
    """Whether the model takes the channels before height and width."""
    parameters: int
    """Number of weights."""
    precision: str = ""
    """Number formats of weights and arithmetic."""
    classes: list[str]
    """Class names in the order of the outputs."""
    head: str
    """Last step of the model: `softmax`, `sigmoid` or `logits`."""
    head_words: str = ""
    """The same in words, and how it was found."""
    preprocessing: Preprocessing
    """From images in [0, 1] to the model's input."""


class Duplicate(_Part):
    """Test images that are byte for byte the same."""

    images: list[str]
    """Their ids."""
    classes: list[str]
    """Their classes; more than one is a fault in the ground truth."""


class DataInfo(_Part):
    """What it was tested on."""

    path: str
    """Name of the folder, CSV file or NPZ file."""
    split: Literal["test folder", "manifest", "archive", "recorded split", "all images"]
    """How the test images were chosen."""
    manifest_sha256: str
    """SHA-256 over id, class, SHA-256, group and subgroups of every test image; `ImageSet.manifest_sha256` says how."""
    images: int
    """Number of test images."""
    per_class: dict[str, int]
    """The same by class."""
    groups: int | None
    """Number of patients or lesions; null if the data do not say."""
    recorded: int | None
    """Test images of the split recorded at training; null if none is."""
    left_out: int | None
    """Readable images of the folder outside the test set."""
    skipped: list[Skipped]
    """Files that could not be read."""
    train_overlap: int | None
    """Test images that are, byte for byte, training images; null if it could not be checked."""
    resize: str
    """How images were brought to the input size."""
    overlap: list[str] = []
    """Ids of the test images that are, byte for byte, training images."""
    overlap_with: Literal["recorded split", "training part"] | None = None
    """Where the training images are known from: the record of the training, or the data themselves, which need not be
    what the model was trained on. Null if it could not be checked, and in records of older versions."""
    duplicates: list[Duplicate] | None = None
    """Test images that are byte for byte the same; null in records of older versions, which did not look."""
    conversions: dict[str, int] = {}
    """What was done to images beyond decoding, in words, and to how many."""


class Judged(_Part):
    """One criterion and what became of it."""

    name: str
    """Of the criterion."""
    asked: str
    """What it asks, in words."""
    observed: str
    """The figure with its 95% interval."""
    status: Literal["PASS", "FAIL", "WAIVED", "NOT TESTED"]
    """The outcome."""
    note: str
    """A waiver, or why it was not tested."""


class Verdict(_Part):
    """The outcome in one word."""

    status: Literal["PASS", "FAIL", "INCONCLUSIVE", "NONE"]
    """`NONE` where no criteria were set."""
    reasons: list[str]
    """Why, in words."""
    criteria: list[Judged] = []
    """The criteria one by one; empty where none were set."""


class Environment(_Part):
    """What the figures were computed with."""

    python: str
    """Version."""
    packages: dict[str, str]
    """Versions by distribution."""
    platform: str
    """Operating system and machine."""
    cpu: str
    """Processor."""
    gpu: list[str]
    """Graphics processors TensorFlow used."""
    precision: str
    """Number formats of the arithmetic behind every figure."""
    crafting: str = "float32"
    """Number formats of the gradients that adversarial images were made with."""
    repeatability: str = ""
    """What was measured of the effect of repetition and of another batch size."""


class AuditRecord(_Part):
    """Everything a reader of an audit needs."""

    schema_version: Literal[1] = SCHEMA_VERSION
    """Version of this format."""
    verdict: Verdict
    """The outcome."""
    audit: AuditInfo
    """Identity."""
    model: ModelInfo
    """The model."""
    data: DataInfo
    """The test images."""
    headline_epsilon: float
    """The epsilon that page one speaks of."""
    critical: str | None
    """The clinically worst direction of error, `true->predicted`; null if none was named."""
    clean: CleanResult
    """Performance without an attack."""
    attacks: list[AttackResult]
    """By attack, then by rising epsilon."""
    worst_case: list[WorstCase] = []
    """The worst case over the attacks in L-inf, by rising epsilon."""
    smallest_epsilon: SmallestEpsilon | None = None
    """How little it takes; null where no image is classified correctly."""
    subgroups: list[Subgroup] = []
    """By column and value; empty where the data name no subgroups."""
    failures: list[AttackFailure] = []
    """Attacks that crashed."""
    checks: list[Check] = []
    """Whether the attacks were a fair fight."""
    examples: list[Example]
    """Pictures of the attack shown in detail, at the headline epsilon if it is bounded: the first images of each class
    in the order of their ids that were classified correctly."""
    environment: Environment
    """Versions and machine."""
    timings: dict[str, float]
    """Seconds by stage."""


def read_record(folder: Path) -> AuditRecord:
    """Read the record of an audit folder.

    Raises:
        BadInputError: if the folder holds none, or one that this version does not understand.
    """
    return read_json(folder / FILE_NAME, AuditRecord, f"record of schema version {SCHEMA_VERSION}", "a finished audit")


def schema() -> dict[str, object]:
    """Return the JSON Schema of `results.json`."""
    return AuditRecord.model_json_schema(mode="serialization")
