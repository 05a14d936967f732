"""The trend over many audits, read from their records alone.

Of each record only what the trend shows is validated, so that a thousand are read in seconds. Two audits are comparable
where the test images, the attacks with their parameters, and epsilon are the same; comparable audits make a series.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from auditor.epsilon import same_epsilon
from auditor.errors import BadInputError
from auditor.progress import Silent
from auditor.record import FILE_NAME, SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.progress import Progress

#: How deep below the folder audits are looked for.
DEPTH = 8

#: What else an audit leaves in its folder: without a record beside it, it has lost it or is not done.
_JOURNAL, _REMAINS = "journal", ("predictions.csv", "report.html")

_Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, protected_namespaces=())


class Share(_Part):
    """An accuracy with its 95% interval and its denominator."""

    value: _Fraction
    """The share."""
    low: _Fraction
    """Lower bound."""
    high: _Fraction
    """Upper bound."""
    count: Annotated[int, Field(ge=0)]
    """Numerator."""
    of: Annotated[int, Field(ge=1)]
    """Denominator."""


class Entry(_Part):
    """One audit in a history."""

    folder: str
    """Of the audit, below the folder of the history; `.` for that folder itself."""
    series: int
    """Number of the series: audits of one series are comparable."""
    id: str
    """Name of the audit."""
    finished: AwareDatetime
    """When it ended."""
    tool_version: str
    """Version of medaudit."""
    verdict: str
    """PASS, FAIL, INCONCLUSIVE or NONE."""
    model: str
    """Name of the model."""
    model_sha256: str
    """SHA-256 of its file."""
    clean: Share
    """Accuracy without an attack."""
    robust: Share | None
    """Accuracy in the worst case over the attacks, at the epsilon of the series; null where it was not measured."""


class Series(_Part):
    """Audits on the same images with the same attacks and epsilon."""

    number: int
    """From 1, in the order of their first audits."""
    data: str
    """Name of the data, in the first audit."""
    manifest_sha256: str
    """SHA-256 of the manifest of the test images."""
    images: int
    """Number of test images."""
    epsilon: float
    """Of the worst case."""
    attacks: tuple[str, ...]
    """Over which the worst case is; sorted, empty where it was not measured at this epsilon."""
    parameters_sha256: str
    """SHA-256 over the parameters of the attacks, and over the critical error where one of them is targeted."""
    audits: int
    """Number of audits."""


class Skipped(_Part):
    """A folder that is no finished audit which can be read."""

    folder: str
    """Below the folder of the history."""
    reason: str
    """In words."""


class History(_Part):
    """The audits below a folder."""

    folder: str
    """As it was given."""
    audits: list[Entry]
    """By the time they ended; where it is the same, by folder."""
    series: list[Series]
    """What may be compared with what."""
    skipped: list[Skipped]
    """By folder."""


class _Worst(_Part):
    epsilon: _Fraction
    accuracy: Share
    attacks: tuple[str, ...]


class _Attack(_Part):
    name: str
    epsilon: _Fraction | None
    parameters: dict[str, str | int | float | bool | None]


class _Clean(_Part):
    accuracy: Share


class _Verdict(_Part):
    status: Literal["PASS", "FAIL", "INCONCLUSIVE", "NONE"]


class _Audit(_Part):
    id: str
    finished: Annotated[AwareDatetime, BeforeValidator(lambda given: given if isinstance(given, str) else None)]
    tool_version: str


class _Model(_Part):
    name: str
    sha256: str


class _Data(_Part):
    path: str
    manifest_sha256: str
    images: Annotated[int, Field(ge=1)]


class _Slim(_Part):
    """What a history needs of `auditor.record.AuditRecord`."""

    schema_version: Literal[1]
    verdict: _Verdict
    audit: _Audit
    model: _Model
    data: _Data
    headline_epsilon: _Fraction
    critical: str | None
    clean: _Clean
    attacks: tuple[_Attack, ...]
    worst_case: tuple[_Worst, ...] = ()


def read_history(folder: Path, epsilon: float | None = None, progress: Progress | None = None) -> History:
    """Read the audits in a folder and the folders below it.

    Symbolic links and folders whose name begins with a dot are left alone, and so is what lies inside an audit or more
    than `DEPTH` folders down.

    Args:
        folder: that holds the audits, or is one.
        epsilon: of the worst case, on images in [0, 1]; None for the headline epsilon of each audit.
        progress: told of the work.

    Raises:
        BadInputError: if the folder cannot be read.
    """
    if not folder.is_dir():
        raise BadInputError(f"{folder} is no folder; give one that holds audits.")
    skipped: list[Skipped] = []
    found: list[tuple[str, _Slim]] = []
    places = list(_audits(folder, skipped))
    with (progress or Silent()).task("Reading audits", len(places)) as advance:
        for place in places:
            name = _relative(place, folder)
            try:
                found.append((name, _read(place / FILE_NAME)))
            except BadInputError as error:
                skipped.append(Skipped(folder=name, reason=str(error)))
            advance(1, name)
    found.sort(key=lambda item: (item[1].audit.finished, item[0]))
    entries, series = _in_series(found, epsilon)
    return History(
        folder=_text(folder), audits=entries, series=series, skipped=sorted(skipped, key=lambda item: item.folder)
    )


def _audits(root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """Folders with a record; what should have one and has not goes to `skipped`."""

    def unreadable(error: OSError) -> None:
        name = _relative(Path(error.filename), root)
        skipped.append(Skipped(folder=name, reason=f"cannot be read: {error.strerror}"))

    for place, folders, files in os.walk(root, onerror=unreadable):
        here = Path(place)
        below = here.relative_to(root).parts
        if FILE_NAME in files:
            folders.clear()
            yield here
        elif _JOURNAL in folders:
            folders.clear()
            reason = "unfinished; `medaudit run --resume` goes on with it"
            skipped.append(Skipped(folder=_relative(here, root), reason=reason))
        elif remains := [name for name in _REMAINS if name in files]:
            folders.clear()
            reason = f"{remains[0]} has no {FILE_NAME} beside it"
            skipped.append(Skipped(folder=_relative(here, root), reason=reason))
        elif len(below) >= DEPTH:
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def _relative(place: Path, root: Path) -> str:
    return _text(place.relative_to(root))


def _text(path: Path) -> str:
    """Path as text that can be printed and written as JSON, even if its name is no Unicode."""
    return os.fsencode(path.as_posix()).decode(errors="replace")


def _read(path: Path) -> _Slim:
    """Read what the history needs of a record. Raises `BadInputError` with the reason, if it is none."""
    try:
        # A pipe would be waited for without end.
        if not stat.S_ISREG(path.lstat().st_mode):
            raise BadInputError(f"{FILE_NAME} is a symbolic link or no file")
        return _Slim.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInputError(f"{FILE_NAME} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise BadInputError(
            f"{FILE_NAME} is damaged or no record of schema version {SCHEMA_VERSION}: {f'{at}: ' if at else ''}"
            f"{first['msg']}"
        ) from error


def _in_series(found: list[tuple[str, _Slim]], epsilon: float | None) -> tuple[list[Entry], list[Series]]:
    """Entries in the order of `found`, and the series they make."""
    entries: list[Entry] = []
    series: dict[tuple[str, tuple[str, ...], str, float], Series] = {}
    for folder, record in found:
        at = record.headline_epsilon if epsilon is None else epsilon
        worst = next((worst for worst in record.worst_case if same_epsilon(worst.epsilon, at)), None)
        attacks = tuple(sorted(worst.attacks)) if worst else ()
        parameters = _parameters(record, attacks, at)
        key = (record.data.manifest_sha256, attacks, parameters, round(at, 9))
        known = series.get(key) or Series(
            number=len(series) + 1,
            data=record.data.path,
            manifest_sha256=record.data.manifest_sha256,
            images=record.data.images,
            epsilon=at,
            attacks=attacks,
            parameters_sha256=parameters,
            audits=0,
        )
        series[key] = known.model_copy(update={"audits": known.audits + 1})
        entries.append(
            Entry(
                folder=folder,
                series=known.number,
                id=record.audit.id,
                finished=record.audit.finished,
                tool_version=record.audit.tool_version,
                verdict=record.verdict.status,
                model=record.model.name,
                model_sha256=record.model.sha256,
                clean=record.clean.accuracy,
                robust=worst.accuracy if worst else None,
            )
        )
    return entries, list(series.values())


def _parameters(record: _Slim, names: Sequence[str], epsilon: float) -> str:
    """Hash of what else than their names distinguishes the attacks of the worst case at an epsilon: also the sweep."""
    chosen = [
        (attack.name, attack.parameters)
        for attack in record.attacks
        if attack.name in names and same_epsilon(attack.epsilon, epsilon)
    ]
    targeted = any(parameters.get("targeted") for _, parameters in chosen)
    # What was won at a smaller epsilon counts at a larger one: another sweep up to there is another test.
    sweep = [round(worst.epsilon, 9) for worst in record.worst_case if worst.epsilon < epsilon]
    content = json.dumps(
        [sorted(chosen, key=lambda item: item[0]), record.critical if targeted else None, sweep], sort_keys=True
    )
    return hashlib.sha256(content.encode()).hexdigest()
