"""The record of a comparison: `comparison.json`, which its reports are drawn from.

Fractions are in [0, 1], intervals are 95%, epsilon is on images in [0, 1], times are UTC in ISO 8601. Differences are
the later version less the baseline: below 0 is worse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from auditor.files import read_json
from auditor.record import AuditInfo, Check, Estimate, Proportion, Verdict, _Part

if TYPE_CHECKING:
    from pathlib import Path

#: Name of the file in the folder of a comparison.
FILE_NAME = "comparison.json"

#: Folder of pictures beside it.
PICTURES = "pictures"

#: A letter for each.
MOST_VERSIONS = 26

#: What a comparison can come to. `inconclusive` where the checks of an attack failed on which the answer rests.
Outcome = Literal["regressed", "improved", "mixed", "no difference shown", "inconclusive"]


class Point(_Part):
    """Robust accuracy at one epsilon."""

    epsilon: float
    """Largest perturbation allowed, in L-inf."""
    accuracy: Proportion
    """Under the worst case over the attacks."""


class Version(_Part):
    """One of the versions that are compared."""

    label: str
    """Letter by which the report calls it: A is the baseline."""
    audit: AuditInfo
    """Its audit."""
    model: str
    """Name of the model."""
    model_sha256: str
    """Of the model file."""
    preprocessing: str
    """What it expects of its input."""
    verdict: Verdict
    """Of its audit."""
    controlled: bool
    """Whether a check shows that its attacks can win."""
    doubts: list[str]
    """Titles of the checks of its attacks that failed: its figures under attack may be too good."""
    clean: Proportion
    """Accuracy without an attack."""
    worst_case: list[Point]
    """By rising epsilon."""


class Difference(_Part):
    """One figure of two versions on the same images."""

    figure: str
    """`accuracy`, or `sensitivity` of a class."""
    of_class: str | None
    """The class; null for accuracy."""
    attack: str
    """Name of the attack, `none`, or `worst-case`."""
    epsilon: float | None
    """Of the attack; null without one, or where no epsilon bounds it."""
    before: Proportion
    """Of the baseline."""
    after: Proportion
    """Of the later version."""
    difference: Estimate
    """After less before, paired by image; Newcombe's method 10."""
    broken: int
    """Images that the baseline classifies correctly and the later version does not."""
    mended: int
    """The reverse."""
    p_value: float
    """Of McNemar's exact test."""
    p_adjusted: float
    """The same after Holm's correction over every epsilon and version of this figure under this attack."""
    outcome: Literal["worse", "better", "no difference shown"]
    """By the adjusted p-value at 5%."""
    primary: bool
    """Whether the overall answer rests on it."""


class CalibrationChange(_Part):
    """How far confidence can be taken at its word, before and after."""

    attack: str
    """Name of the attack, or `none`."""
    epsilon: float | None
    """Of the attack."""
    ece_before: float
    """Expected calibration error of the baseline, in [0, 1]."""
    ece_after: float
    """Of the later version."""
    ece: Estimate
    """Its change; paired bootstrap."""
    brier_before: float
    """Brier score of the baseline, in [0, 2]."""
    brier_after: float
    """Of the later version."""
    brier: Estimate
    """Its change; paired bootstrap."""


class CheckChange(_Part):
    """One check of the attacks in both audits."""

    title: str
    """The question it answers."""
    before: Check | None
    """In the audit of the baseline; null if it was not part of it."""
    after: Check | None
    """In the audit of the later version."""


class ImageChange(_Part):
    """An image that one version classifies correctly and the other does not."""

    id: str
    """Of the image."""
    label: str
    """Ground truth."""
    change: Literal["broken", "mended"]
    """`broken`: correct under the baseline only; `mended`: correct under the later version only."""
    attack: str
    """`none`, or `worst-case`."""
    epsilon: float | None
    """Of the worst case."""
    called: str
    """What the version that errs calls it."""
    by: str
    """Name of the attack that won; empty without one."""
    confidence: float
    """Of that wrong answer, in [0, 1]."""
    picture: str | None = None
    """PNG of the image below the folder of the comparison; null for most."""


class Pair(_Part):
    """A later version against the baseline."""

    label: str
    """Letter of the later version."""
    outcome: Outcome
    """The answer."""
    sentences: list[str]
    """The answer in words, the most important first."""
    differences: list[Difference]
    """Every figure."""
    calibration: list[CalibrationChange]
    """Without an attack, and under each attack at the headline epsilon."""
    checks: list[CheckChange]
    """Every check."""
    images: list[ImageChange]
    """Images newly broken and newly mended, without an attack and in the worst case at the headline epsilon."""
    caveats: list[str]
    """What else differs between the audits, in words."""


class Comparison(_Part):
    """Two or more versions of a model on the same images under the same attacks."""

    schema_version: Literal[1] = 1
    """Version of this format."""
    created: str
    """UTC time."""
    tool_version: str
    """Version of medaudit."""
    data: str
    """Name of the data."""
    manifest_sha256: str
    """Of the test images, which are the same in every audit."""
    images: int
    """Number of test images."""
    classes: list[str]
    """Class names in the order of the outputs."""
    critical: str | None
    """The clinically worst direction of error, `true->predicted`; null if none was named."""
    headline_epsilon: float
    """The epsilon that page one speaks of."""
    versions: list[Version]
    """The baseline first."""
    pairs: list[Pair]
    """Each later version against the baseline."""

    @property
    def regressed(self) -> bool:
        """Whether some version is worse than the baseline in a figure that the answer rests on."""
        return any(pair.outcome in ("regressed", "mixed") for pair in self.pairs)


def read_comparison(folder: Path) -> Comparison:
    """Read the record of a comparison.

    Raises:
        BadInputError: if the folder holds none, or one that this version does not understand.
    """
    return read_json(folder / FILE_NAME, Comparison, "record of a comparison", "a comparison")
