"""Images named in a CSV file, with their ground truth, and patients and subgroups where it says so."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.data.folder import OUTSIDE, file_hashes, leads_outside
from auditor.data.imageset import Intake, Part
from auditor.data.source import File
from auditor.errors import BadInputError
from auditor.progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Columns that name a subgroup begin with this: other columns are not read, and stay out of every report.
SUBGROUP = "subgroup_"


def is_manifest(data: Path) -> bool:
    """Whether DATA is a CSV file and not a folder."""
    return data.suffix.lower() == ".csv" and not data.is_dir()


def read_manifest(
    path: Path,
    classes: Sequence[str] | None = None,
    *,
    follow_links: bool = False,
    progress: Progress | None = None,
) -> Part:
    """Read a CSV file with a header and the columns `path` and `label`.

    `path` is relative to the file's own folder. A column `group` names the patient or lesion of each image, a
    column `split` its part, of which `test` is read, and columns that begin with `subgroup_` a subgroup.

    Args:
        path: of the file.
        classes: the class names in the order of the labels; default the labels, sorted.
        follow_links: whether links may lead out of the file's folder.
        progress: told of each image.

    Raises:
        BadInputError: if the file cannot be read, lacks a column or a value, names an image twice, or names a
            class without a readable image; the message names the line.
    """
    rows, header = _read(path)
    stated = "split" in header
    wanted = [(line, row) for line, row in rows if not stated or row["split"] == "test"]
    if not wanted:
        raise BadInputError(f"{path} names no image{' whose split is test' if stated else ''}.")
    names = tuple(classes) if classes else tuple(sorted({row["label"] for _, row in wanted}))
    subgroups = [name for name in header if name.startswith(SUBGROUP) and len(name) > len(SUBGROUP)]
    limit = None if follow_links else path.parent.resolve()
    intake, seen = Intake(), dict[str, int]()
    with (progress or Silent()).task("Reading images", len(wanted)) as advance:
        for line, row in wanted:
            identity = Path(row["path"]).as_posix()
            if identity in seen:
                raise BadInputError(f"{path}, line {line}: {identity!r} is named in line {seen[identity]} already.")
            seen[identity] = line
            if row["label"] not in names:
                raise BadInputError(
                    f"{path}, line {line}: the label {row['label']!r} is no class of the model; they are "
                    f"{', '.join(map(repr, names))}."
                )
            if "group" in header and not row["group"]:
                raise BadInputError(
                    f"{path}, line {line}: the column group is empty. Name the patient or lesion of every image, or "
                    "leave the column out."
                )
            file = _inside(path, line, identity)
            if limit and leads_outside(file, limit):
                intake.skip("", identity, OUTSIDE)
            else:
                more = tuple((name.removeprefix(SUBGROUP), row[name] or "not stated") for name in subgroups)
                intake.add("", identity, File(file), names.index(row["label"]), row.get("group"), more)
            advance(1, "")
    images = intake.image_set(names)
    for name, count in images.per_class.items():
        if not count:
            why = next((f" ({file.id}: {file.reason})" for file in images.skipped), "")
            raise BadInputError(f"{path} names no readable image of class {name!r}{why}.")
    trained_on = [_inside(path, line, row["path"]) for line, row in rows if stated and row["split"] == "train"]
    known = bool(trained_on) and not (limit and any(leads_outside(file, limit) for file in trained_on))
    return Part(images, stated, len(rows) - len(wanted), file_hashes(trained_on, progress) if known else None)


def _read(path: Path) -> tuple[list[tuple[int, dict[str, str]]], list[str]]:
    """Rows with the numbers of their lines, and the header."""
    if not path.is_file():
        raise BadInputError(f"The data file {path} {'is no ordinary file' if path.exists() else 'does not exist'}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} cannot be read as CSV text in UTF-8: {error}.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = [name.strip() for name in reader.fieldnames or []]
    if missing := [name for name in ("path", "label") if name not in header]:
        raise BadInputError(f"{path} lacks the column {' and '.join(missing)}; its columns are {', '.join(header)}.")
    if len(set(header)) < len(header):
        raise BadInputError(f"{path} has a column twice: {', '.join(header)}.")
    reader.fieldnames = header
    rows = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadInputError(f"{path}, line {reader.line_num}: {len(header)} columns are needed.")
            values = {name: value.strip() for name, value in row.items()}
            if not values["path"] or not values["label"]:
                raise BadInputError(f"{path}, line {reader.line_num}: the path or the label is empty.")
            rows.append((reader.line_num, values))
    except csv.Error as error:
        raise BadInputError(f"{path}, line {reader.line_num}: {error}.") from error
    return rows, header


def _inside(path: Path, line: int, identity: str) -> Path:
    """The file of an image, which must lie below the folder of the CSV file."""
    given = Path(identity)
    if given.is_absolute() or ".." in given.parts or "\0" in identity:
        raise BadInputError(f"{path}, line {line}: {identity!r} does not lie below the folder of the CSV file.")
    return path.parent / given
