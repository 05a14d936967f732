"""HDF5 files, read through their metadata: no dataset is read, no link is followed out of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditor.errors import BadInputError
from auditor.models.inspection.config import LARGEST
from auditor.models.inspection.interface import short

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditor.models.inspection.interface import Findings

#: Groups and datasets of a file; the largest models of `keras.applications` have some thousand.
_MOST_OBJECTS = 200_000

#: Bytes that a file may unpack to for each of its own, once they are more than a machine has to spare.
RATIO, SPARE = 100, 256 * 2**20

#: Filters of the HDF5 library itself and of h5py (LZF): others would be loaded as programs.
_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})


@dataclass(frozen=True)
class Contents:
    """What an HDF5 file holds.

    Attributes:
        attributes: of the file that Keras reads, where they are text.
        parameters: numbers stored as weights, without those of an optimizer.
        groups: names at the top.
    """

    attributes: dict[str, str]
    parameters: int
    groups: frozenset[str]


def read(path: Path, findings: Findings, shown: str = "") -> Contents:
    """Read the metadata of an HDF5 file.

    Args:
        path: of the file.
        findings: told of everything unsafe.
        shown: what to name the file by, if not its path; findings then begin with it.

    Raises:
        BadInputError: if it is no HDF5 file, or damaged.
    """
    import h5py

    name = shown or str(path)
    try:
        # Read-only, no locks, no driver chosen by the file.
        with h5py.File(path, "r", locking=False) as file:
            attributes = {
                key: text for key in ("model_config", "keras_version", "backend") if (text := _text(file, key))
            }
            return Contents(
                attributes, _parameters(file, path.stat().st_size, findings, shown), frozenset(map(str, file.keys()))
            )
    except BadInputError as error:
        raise BadInputError(f"{name} {error}") from error
    except Exception as error:  # h5py raises whatever the bytes make the HDF5 library say
        raise BadInputError(f"{name} is no HDF5 file, or a damaged one ({short(error)}).") from error


def _text(file: Any, key: str) -> str | None:
    """An attribute that is text, or None."""
    if key not in file.attrs:
        return None
    if file.attrs.get_id(key).get_storage_size() > LARGEST:
        raise BadInputError(f"has an attribute {key!r} that is too large for the configuration of a model.")
    value = file.attrs[key]
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="strict")
    return value if isinstance(value, str) else None


def _parameters(file: Any, size: int, findings: Findings, shown: str) -> int:
    """Walk all objects; returns the number of weights."""
    import h5py

    parameters, unpacked = 0, 0
    for name, found in _objects(file, findings, shown):
        place = f"{shown}: {name}" if shown else name
        if not isinstance(found, h5py.Dataset):
            continue
        properties = found.id.get_create_plist()
        if found.external or properties.get_external_count():
            findings.add(place, "its values lie in another file")
        if found.is_virtual:
            findings.add(place, "it is put together from other files")
        filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
        if filters - _FILTERS:
            findings.add(place, "it is packed by a program that is no part of HDF5")
        # Keras writes bfloat16, which HDF5 does not know, as two bytes without a meaning.
        if (found.dtype.kind == "V" and found.dtype.itemsize > 2) or (
            found.dtype.kind == "O" and h5py.check_string_dtype(found.dtype) is None
        ):
            findings.add(place, "it holds objects, not numbers")
        unpacked += found.dtype.itemsize * found.size if found.size else 0
        if not {"optimizer", "optimizer_weights"} & set(name.split("/")):
            parameters += int(found.size or 0)
    if unpacked > RATIO * size and unpacked > SPARE:
        findings.add(
            shown or "file", f"a compression bomb: {size:,} bytes that unpack to {unpacked:,}, as no weights do"
        )
    return parameters


def _objects(file: Any, findings: Findings, shown: str) -> Iterator[tuple[str, Any]]:
    """All groups and datasets with their names; each once, whatever the links between them."""
    import h5py

    stack, seen, count = [("", file)], set(), 0
    while stack:
        path, group = stack.pop()
        for key in group:
            count += 1
            if count > _MOST_OBJECTS:
                raise BadInputError("holds more objects than any model.")
            name = f"{path}/{key}" if path else str(key)
            place = f"{shown}: {name}" if shown else name
            link = group.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                findings.add(place, f"a link to another file, {short(link.filename)}")
                continue
            if isinstance(link, h5py.SoftLink):
                findings.add(place, f"a link to {short(link.path)}; Keras writes none")
                continue
            found = group[key]
            address = h5py.h5o.get_info(found.id).addr
            if address in seen:
                continue
            seen.add(address)
            yield name, found
            if isinstance(found, h5py.Group):
                stack.append((name, found))
