"""The journal of an unfinished audit: what it is an audit of, and every finished batch.

Each batch is a file of its own that appears in one step, so that a crash at any moment costs at most the
batch that was being worked on.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from auditor.engine.outcomes import Attacked, Diagnosis, Outcomes
from auditor.errors import BadInputError
from auditor.files import make_folder, replacing, write_text
from auditor.log import FILE_NAME as LOG
from auditor.metrics.perceptibility import Distances
from auditor.settings import AuditSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from auditor.engine.plan import Cell

#: Folder of the journal in an audit's folder.
FOLDER = "journal"

_HEADER = "audit.json"
_LOCK = "lock"
_STAGES = ("clean", "craft", "judge", "rest")
_ARRAYS = ("logits", "concerned", "rounded", "outside")


class Header(BaseModel):
    """What an unfinished audit is an audit of."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: str
    """Name of the audit."""
    started: str
    """UTC time, ISO 8601."""
    model: str
    """Path of the model, or its MLflow URI."""
    data: str
    """Path of the data folder or CSV file."""
    settings: AuditSettings
    """The options."""
    batch_size: int
    """Images in a batch: another would change the last digits."""
    baseline: str | None = None
    """Path of the audit to compare with; null if there is none."""
    key: dict[str, str]
    """What the figures depend on, by name: hashes of model, test images and configuration, versions, processor."""


class Journal:
    """Finished batches of one audit.

    Args:
        folder: of the audit.
        header: what it is an audit of.
        cells: the attacks and epsilons of a batch, in order.
    """

    def __init__(self, folder: Path, header: Header, cells: Sequence[Cell]) -> None:
        self._folder = folder / FOLDER
        self.header = header
        self._cells = tuple(cells)

    @classmethod
    def begin(cls, folder: Path, header: Header, cells: Sequence[Cell]) -> Self:
        """Begin a journal in a new audit's folder. Raises `BadInputError` if it cannot be written."""
        make_folder(folder / FOLDER)
        write_text(folder / FOLDER / _HEADER, header.model_dump_json(indent=1))
        return cls(folder, header, cells)

    def check(self, key: dict[str, str]) -> None:
        """Make sure that the finished batches are of the same audit.

        Raises:
            BadInputError: if anything that the figures depend on has changed; the message says what.
        """
        changed = [name for name in key if self.header.key.get(name) != key[name]]
        if changed:
            raise BadInputError(
                f"The audit in {self._folder.parent} cannot go on: since it began, {' and '.join(changed)} changed. "
                "Put back what was there, or start a new audit."
            )

    def write(self, number: int, part: Outcomes) -> None:
        """Write a finished batch in one step. Raises `BadInputError` if the disk is full or unwritable."""
        arrays: dict[str, Any] = {
            "labels": part.labels,
            "clean": part.clean,
            **{field.name: getattr(part.diagnosis, field.name) for field in fields(Diagnosis)},
            "seconds": [part.seconds[stage] for stage in _STAGES],
        }
        for place, cell in enumerate(self._cells):
            found = part.attacked[cell]
            for name in _ARRAYS:
                arrays[f"{place}.{name}"] = getattr(found, name)
            for field in fields(Distances):
                arrays[f"{place}.{field.name}"] = getattr(found.distances, field.name)
            arrays[f"{place}.failure"] = np.array(found.failure)
        with replacing(self._path(number)) as temporary:
            np.savez(temporary, **arrays)

    def read(self, number: int, labels: NDArray[np.int64]) -> Outcomes | None:
        """Read a finished batch with that ground truth; None if there is none, or it is damaged."""
        try:
            with np.load(self._path(number), allow_pickle=False) as arrays:
                if not np.array_equal(arrays["labels"], labels):
                    return None
                return Outcomes(
                    arrays["labels"],
                    arrays["clean"],
                    {
                        cell: Attacked(
                            distances=Distances(*(arrays[f"{place}.{field.name}"] for field in fields(Distances))),
                            failure=str(arrays[f"{place}.failure"]),
                            **{name: arrays[f"{place}.{name}"] for name in _ARRAYS},
                        )
                        for place, cell in enumerate(self._cells)
                    },
                    Diagnosis(*(arrays[field.name] for field in fields(Diagnosis))),
                    dict(zip(_STAGES, arrays["seconds"].tolist(), strict=True)),
                )
        except Exception:  # noqa: BLE001 - a damaged archive raises whatever its bytes happen to say
            return None

    def end(self) -> None:
        """Remove the journal of a finished audit."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.npz"


def is_unfinished(folder: Path) -> bool:
    """Whether a folder holds the journal of an audit that has begun."""
    return (folder / FOLDER / _HEADER).is_file()


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing, or what an audit leaves that is killed before it has begun."""
    journal = folder / FOLDER
    inside = {path.name for path in journal.iterdir()} if journal.is_dir() else set()
    return {path.name for path in folder.iterdir()} <= {FOLDER, LOG} and inside <= {_LOCK}


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep the folder of an audit, made if need be, for this process alone.

    The lock is the system's, on a file in the journal: it ends with the process, however that ends. Without a begun
    journal nothing is left of it.

    Raises:
        BadInputError: if another process holds it, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    place, made = folder / FOLDER, not folder.exists()
    make_folder(place)
    lock = FileLock(place / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise BadInputError(
            f"Another medaudit is at work in {folder}. Wait until it is done, or choose another folder with -o."
        ) from error
    except OSError as error:
        raise BadInputError(f"{place / _LOCK} cannot be locked: {error.strerror or error}.") from error
    try:
        yield
    finally:
        # While it is held, so that nobody else's lock is removed; but Windows removes no open file.
        if os.name == "nt":
            lock.release()
        if not is_unfinished(folder):
            (place / _LOCK).unlink(missing_ok=True)
            with suppress(OSError):
                place.rmdir()
        lock.release()
        if made:
            with suppress(OSError):
                folder.rmdir()


def read_header(folder: Path) -> Header:
    """Read what an unfinished audit is an audit of.

    Raises:
        BadInputError: if the folder holds no unfinished audit.
    """
    path = folder / FOLDER / _HEADER
    try:
        return Header.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BadInputError(f"{folder} holds no unfinished audit.") from error
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise BadInputError(f"{path} is damaged; start a new audit.") from error
