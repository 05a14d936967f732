"""Acceptance criteria, declared before an audit and judged after it.

A criterion is judged on the bound of the interval and not on the point: a figure that is to be at least so much
passes if its lower bound is.
"""

from __future__ import annotations

import hashlib
import tomllib
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from auditor.epsilon import epsilon_words, read_epsilon, same_epsilon
from auditor.errors import BadInputError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: Figures that need no class or direction, and those that do; the latter are written `sensitivity.malignant`.
PLAIN = ("accuracy", "success_rate", "accuracy_drop", "ece", "brier", "eight_bit_accuracy")
OF_A_CLASS = ("sensitivity", "specificity", "precision", "f1_score", "auroc")

#: In the place of an attack: the images as they are, and the worst over the attacks.
CLEAN, WORST = "none", "worst-case"

#: What can be asked of the worst case, and of the images as they are.
OF_WORST = ("accuracy", "success_rate", "accuracy_drop", "sensitivity", "eight_bit_accuracy")
OF_CLEAN = ("accuracy", "ece", "brier", *OF_A_CLASS, "flips")

#: Where figures lie that are no share.
_RANGES = {"accuracy_drop": (-1.0, 1.0), "brier": (0.0, 2.0)}

#: Fields of a policy that are no keys of its file.
_OURS = ("file", "sha256")


class _Part(BaseModel):
    # What is no number could not be written down in the record, nor met.
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


def _epsilon(given: Any) -> Any:
    """Read `2/255` as a fraction."""
    return read_epsilon(given) if isinstance(given, str) else given


class Criterion(_Part):
    """One criterion."""

    name: str
    """For the report."""
    figure: str
    """What is judged: `accuracy`, `sensitivity.CLASS`, `flips.TRUE->PREDICTED` and others."""
    attack: str = WORST
    """Name of an attack, `worst-case`, or `none` for the images as they are."""
    epsilon: Annotated[float, BeforeValidator(_epsilon)] | None = None
    """At which; null for `none` and for attacks that no epsilon bounds."""
    at_least: float | None = None
    """The lower bound of the figure's interval has to be at least this."""
    at_most: float | None = None
    """The upper bound of the figure's interval has to be at most this."""

    @model_validator(mode="after")
    def _check(self) -> Criterion:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("one of at_least and at_most is needed")
        kind, _, key = self.figure.partition(".")
        known = (*PLAIN, *OF_A_CLASS, "flips")
        if kind not in known:
            raise ValueError(f"there is no figure {kind!r}{nearest(kind, known)}")
        if (kind in PLAIN) == bool(key):
            raise ValueError(f"{kind!r} is written {kind if kind in PLAIN else kind + '.CLASS'}")
        allowed = {WORST: OF_WORST, CLEAN: OF_CLEAN}.get(self.attack, known)
        if kind not in allowed:
            raise ValueError(f"{kind!r} is not known of {self.attack!r}; of it are {', '.join(allowed)}")
        low, high = _RANGES.get(kind, (0.0, 1.0))
        if not low <= (self.at_least if self.at_least is not None else self.at_most or 0.0) <= high:
            raise ValueError(f"{kind!r} lies between {low:g} and {high:g}")
        if self.attack == CLEAN and self.epsilon is not None:
            raise ValueError("the images as they are have no epsilon")
        if self.attack == WORST and self.epsilon is None:
            raise ValueError("the worst case is asked for at an epsilon")
        return self

    @property
    def asked(self) -> str:
        """What is asked, in words."""
        where = "without an attack" if self.attack == CLEAN else f"under {self.attack}"
        at = f" at {epsilon_words(self.epsilon)}" if self.epsilon is not None else ""
        bound = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
        return f"{self.figure} {where}{at}: {bound}"


class Waiver(_Part):
    """Leave to fail a criterion for a while."""

    criterion: str
    """Name of the criterion."""
    owner: str
    """Who gave it."""
    reason: str
    """Why."""
    expires: date
    """Last day on which it holds."""


class Policy(_Part):
    """The criteria of an audit."""

    name: str
    """Of the policy."""
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]
    """Each has to be met."""
    required_checks: tuple[str, ...] = ()
    """Names of checks of the attacks that must have been made and not have failed."""
    waivers: tuple[Waiver, ...] = ()
    """What may fail for a while."""
    file: str = ""
    """Name of the file it was read from."""
    sha256: str = ""
    """Of that file."""

    @model_validator(mode="after")
    def _check(self) -> Policy:
        names = [criterion.name for criterion in self.criteria]
        if len(set(names)) < len(names):
            raise ValueError("two criteria have the same name")
        for waiver in self.waivers:
            if waiver.criterion not in names:
                raise ValueError(
                    f"the waiver of {waiver.owner} names no criterion: {waiver.criterion!r}"
                    f"{nearest(waiver.criterion, names)}"
                )
        return self

    @property
    def asks_of_attacks(self) -> bool:
        """Whether a criterion is put to a figure under attack."""
        return any(criterion.attack != CLEAN for criterion in self.criteria)

    def check_plan(
        self, measured: Mapping[str, Sequence[float | None]], worst: Sequence[float], checks: Mapping[str, str | None]
    ) -> None:
        """Make sure that an audit can answer every criterion and make every required check.

        Args:
            measured: values of epsilon by attack, None for without a bound.
            worst: values of epsilon at which a worst case over the attacks is measured.
            checks: every check by name, and why it will not be made; None where it will.

        Raises:
            BadInputError: if a criterion asks for what is not measured, or a check is not known or not made.
        """
        answers = {CLEAN: (None,), WORST: tuple(worst), **measured}
        for criterion in self.criteria:
            asks = f"The criterion {criterion.name!r} asks for"
            if criterion.attack not in answers:
                raise BadInputError(
                    f"{asks} the attack {criterion.attack!r}, which is not run{nearest(criterion.attack, answers)}. "
                    "Add it with --attack, or choose a suite that has it."
                )
            epsilons = answers[criterion.attack]
            if not epsilons:
                raise BadInputError(
                    f"{asks} the worst case, which needs an attack in L-inf on every image that knows something of the "
                    "model. Add one with --attack, fgsm or pgd for example."
                )
            if not any(same_epsilon(criterion.epsilon, epsilon) for epsilon in epsilons):
                raise BadInputError(
                    f"{asks} {criterion.attack} {_at(criterion.epsilon)}, but it is measured "
                    f"{', '.join(map(_at, epsilons))}. Mend its epsilon, or name another sweep with --eps."
                )
        for name in self.required_checks:
            if name not in checks:
                raise BadInputError(f"The policy requires the check {name!r}; there is none{nearest(name, checks)}.")
            if why := checks[name]:
                raise BadInputError(f"The policy requires the check {name!r}, which will not be made: {why}.")

    def check_classes(self, classes: Sequence[str]) -> None:
        """Make sure that the classes the criteria name are the model's. Raises `BadInputError` if one is not."""
        directions = [f"{a}->{b}" for a in classes for b in classes if a != b]
        for criterion in self.criteria:
            kind, _, key = criterion.figure.partition(".")
            known = directions if kind == "flips" else classes
            if key and key not in known:
                raise BadInputError(
                    f"The criterion {criterion.name!r} names {key!r}, which the model does not know"
                    f"{nearest(key, known)}."
                )


def _at(epsilon: float | None) -> str:
    return "without an epsilon" if epsilon is None else f"at {epsilon_words(epsilon)}"


def read_policy(path: Path) -> Policy:
    """Read a policy from a TOML file.

    Raises:
        BadInputError: if the file cannot be read or is no policy; the message names the key and the nearest right one.
    """
    try:
        content = path.read_bytes()
        values = tomllib.loads(content.decode())
    except FileNotFoundError as error:
        raise BadInputError(f"The policy {path} does not exist.") from error
    except (OSError, ValueError, RecursionError) as error:  # a ValueError, and not TOML's: a number of 5000 digits
        raise BadInputError(f"The policy {path} cannot be read as TOML: {error}.") from error
    try:
        return Policy.model_validate({**values, "file": path.name, "sha256": hashlib.sha256(content).hexdigest()})
    except ValidationError as error:
        # A key that is not known says more than the one that is missing for it.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in first["loc"]) or "the policy"
        hint = ""
        if first["type"] == "extra_forbidden":
            parts: dict[str, type[_Part]] = {"criteria": Criterion, "waivers": Waiver}
            kind = parts.get(str(first["loc"][0]), Policy) if len(first["loc"]) > 1 else Policy
            hint = nearest(str(first["loc"][-1]), [name for name in kind.model_fields if name not in _OURS])
        message = str(first["msg"]).removeprefix("Value error, ")
        raise BadInputError(f"{path}: {place}: {message}{hint}.") from error
