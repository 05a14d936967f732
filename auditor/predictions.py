"""The table of predictions in an audit's folder: what the model said of every image, written and read back.

Numbers stand in the shortest text that reads back as the same number, so every figure of the record can be computed
again from this table.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from auditor.engine.outcomes import Answers, Attacked
from auditor.errors import BadInputError
from auditor.metrics.classification import confidences
from auditor.metrics.perceptibility import Distances

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from auditor.data.imageset import ImageSet
    from auditor.engine.plan import Cell

#: Name of the file in an audit's folder.
FILE_NAME = "predictions.csv"

_HEAD = ("id", "group", "label", "attack", "epsilon", "predicted", "confidence")
_TAIL = ("linf", "l2", "psnr", "ssim", "predicted 8-bit", "out of bounds")
#: What a spreadsheet takes for the beginning of a formula, or passes over before one; and what marks it as none.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
_LOGIT, _SUBGROUP = "logit ", "subgroup "


@dataclass(frozen=True)
class Predictions:
    """A table that was read back.

    Attributes:
        ids: of the n images, in the order of the test set.
        groups: patient or lesion of each image; None where the data did not say.
        subgroups: by column, the value of each image.
        answers: what the model said.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...] | None
    subgroups: Mapping[str, Sequence[str]]
    answers: Answers


def predictions_csv(images: ImageSet, answers: Answers) -> str:
    """Write what the model said as a table with one row per image, attack and epsilon.

    Rows of the images as they are have no attack. An image that an attack was not run on has no row there, nor has an
    attack that crashed.
    """
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\r\n")
    subgroups = images.subgroups
    logits = [_LOGIT + name for name in images.classes]
    table.writerow([*_HEAD, *logits, *_TAIL, *(_SUBGROUP + name for name in subgroups)])
    more = list(zip(*subgroups.values(), strict=True)) or [()] * len(images)
    table.writerows([_inert(value) for value in row] for row in _rows(images, answers, more))
    return stream.getvalue()


def _rows(images: ImageSet, answers: Answers, more: Sequence[Sequence[str]]) -> Iterator[list[object]]:
    cells: list[tuple[object, object, NDArray[np.float32], Attacked | None]] = [("", "", answers.clean, None)]
    cells += [
        (name, "" if epsilon is None else epsilon, found.logits, found)
        for (name, epsilon), found in answers.attacked.items()
        if not found.failure
    ]
    for attack, epsilon, logits, found in cells:
        predicted, confidence = logits.argmax(axis=1), confidences(logits)
        for i, image in enumerate(images.images):
            tail: list[object] = [""] * len(_TAIL)
            if found:
                if not found.concerned[i]:
                    continue
                size = found.distances
                rounded, outside = images.classes[found.rounded[i]], int(found.outside[i])
                tail = [size.linf[i], size.l2[i], size.psnr[i], size.ssim[i], rounded, outside]
            # str() of a NumPy number is the shortest text that reads back as the same number.
            yield [
                image.id, image.group or "", images.classes[image.label], attack, epsilon,
                images.classes[predicted[i]], confidence[i], *logits[i], *tail, *more[i],
            ]  # fmt: skip


def read_predictions(path: Path, classes: Sequence[str]) -> Predictions:
    """Read a table of predictions.

    An image without a row under an attack stands there as it was, and is not concerned.

    Args:
        path: the file.
        classes: class names in the order of the model's outputs, as the record has them.

    Raises:
        BadInputError: if it cannot be read, or is no such table of these classes.
    """
    try:
        # Without newline="" a name that holds a line break would come back as another.
        with path.open(encoding="utf-8", newline="") as stream:
            return _read(csv.reader(stream, strict=True), classes)
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.") from error
    except (csv.Error, ValueError, KeyError, IndexError) as error:
        raise BadInputError(f"{path} is no table of predictions of this audit, or is damaged: {error}.") from error


def _read(rows: Iterator[list[str]], classes: Sequence[str]) -> Predictions:
    header = next(rows, [])
    logits = len(_HEAD) + len(classes)
    ends = logits + len(_TAIL)
    if header[:ends] != [*_HEAD, *(_LOGIT + name for name in classes), *_TAIL]:
        raise ValueError("the headings are others")
    index = {name: i for i, name in enumerate(classes)}
    cells: dict[Cell | None, list[list[str]]] = {None: []}
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row has {len(row)} cells instead of {len(header)}")
        cell = (row[3], float(row[4]) if row[4] else None) if row[3] else None
        cells.setdefault(cell, []).append([_plain(value) for value in row])
    clean = cells.pop(None)
    if not clean:
        raise ValueError("no image has a row without an attack")
    ids = tuple(row[0] for row in clean)
    places = {identity: i for i, identity in enumerate(ids)}
    if len(places) < len(ids):
        raise ValueError("an image has two rows without an attack")

    def numbers(part: list[list[str]]) -> NDArray[np.float32]:
        return np.array([[float(value) for value in row[len(_HEAD) : logits]] for row in part], np.float32)

    unattacked = numbers(clean)
    attacked = {}
    for cell, part in cells.items():
        if cell is None:
            continue
        at = [places[row[0]] for row in part]
        if len(set(at)) < len(at):
            raise ValueError(f"an image has two rows under {cell[0]}")
        n = len(ids)
        answered, rounded = unattacked.copy(), unattacked.argmax(axis=1)
        concerned, outside = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        sizes = np.tile([0.0, 0.0, np.inf, 1.0], (n, 1))
        answered[at], concerned[at] = numbers(part), True
        rounded[at] = [index[row[logits + 4]] for row in part]
        outside[at] = [bool(int(row[logits + 5])) for row in part]
        sizes[at] = [[float(value) for value in row[logits : logits + 4]] for row in part]
        attacked[cell] = Attacked(answered, Distances(*sizes.T), concerned, rounded, outside)
    groups = tuple(row[1] for row in clean)
    return Predictions(
        ids,
        groups if all(groups) else None,
        {
            name.removeprefix(_SUBGROUP): [row[place] for row in clean]
            for place, name in enumerate(header[ends:], start=ends)
        },
        Answers(np.array([index[row[2]] for row in clean], dtype=np.int64), unattacked, attacked),
    )


def _inert(value: object) -> str:
    """Text of a cell; names that a spreadsheet would run as a formula get an apostrophe in front."""
    text = str(value)
    if isinstance(value, str) and text.startswith(_FORMULA):
        return f"'{text}"
    return text


def _plain(text: str) -> str:
    return text.removeprefix("'")
