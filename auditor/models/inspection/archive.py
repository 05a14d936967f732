"""Keras archives (`.keras`): the members are looked at in the directory of the ZIP before anything is unpacked."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from auditor.errors import BadInputError
from auditor.models.inspection import config, hdf5
from auditor.models.inspection.interface import short

if TYPE_CHECKING:
    from auditor.models.inspection.interface import Findings

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"

_PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".npy", ".npz")


def read(path: Path, findings: Findings) -> tuple[dict[str, Any], str | None, int]:
    """Read a Keras archive.

    Args:
        path: of the archive.
        findings: told of everything unsafe.

    Returns:
        The configuration, the version of Keras that wrote it, and the number of weights.

    Raises:
        BadInputError: if it is no such archive, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            sound = _check_members(path, archive, findings)
            if CONFIG not in members:
                raise BadInputError(f"{path} is no Keras archive: it holds no {CONFIG}.")
            for name in (CONFIG, METADATA):
                if name in members and members[name].file_size > config.LARGEST:
                    raise BadInputError(f"{path}: {name} would unpack to {members[name].file_size:,} bytes.")
            described = config.parse(archive.read(CONFIG), f"{path}: {CONFIG}")
            version = _version(config.parse(archive.read(METADATA), METADATA)) if METADATA in members else None
            if not sound or WEIGHTS not in members:
                # Nothing is unpacked from an archive whose sizes are a lie.
                return described, version, 0
            return described, version, _weights(path, archive, findings)
    except BadInputError:
        raise
    except Exception as error:  # zipfile and the compressors it calls each have errors of their own
        raise BadInputError(f"{path} is no Keras archive, or a damaged one ({short(error)}).") from error


def _check_members(path: Path, archive: zipfile.ZipFile, findings: Findings) -> bool:
    """Look at names and sizes of the members; returns whether the sizes can be right."""
    total, seen = 0, set()
    for member in archive.infolist():
        name = member.filename
        total += member.file_size
        if name in seen:
            findings.add(name, "two members of the archive have this name")
        seen.add(name)
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or "\0" in member.orig_filename:
            findings.add(name, "its path leads out of the archive")
        elif stat.S_ISLNK(member.external_attr >> 16):
            findings.add(name, "a symbolic link")
        elif name.lower().endswith(_PICKLES):
            findings.add(name, "a pickle, which can run anything when it is read")
        elif name not in (CONFIG, METADATA, WEIGHTS) and not name.startswith("assets/"):
            findings.add(name, "no part of a Keras archive")
    size = path.stat().st_size
    if total > hdf5.RATIO * size and total > config.LARGEST:
        findings.add("archive", f"a compression bomb: {size:,} bytes that unpack to {total:,}")
        return False
    for member in archive.infolist():
        if member.filename.startswith("assets/") and member.file_size and _is_pickle(archive, member):
            findings.add(member.filename, "a pickle, which can run anything when it is read")
    return True


def _is_pickle(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    with archive.open(member) as stream:
        start = stream.read(2)
    return start[:1] == b"\x80" and start[1:] in (b"\x02", b"\x03", b"\x04", b"\x05")


def _weights(path: Path, archive: zipfile.ZipFile, findings: Findings) -> int:
    """Count the weights; they are copied out because HDF5 needs a file."""
    with tempfile.TemporaryDirectory(prefix="medaudit-") as folder:
        copied = Path(folder) / WEIGHTS
        with archive.open(WEIGHTS) as source, copied.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
        try:
            return hdf5.read(copied, findings, WEIGHTS).parameters
        except BadInputError as error:
            raise BadInputError(f"{path}: {error}") from error


def _version(metadata: dict[str, Any]) -> str | None:
    version = metadata.get("keras_version")
    return short(version) if isinstance(version, str) else None
