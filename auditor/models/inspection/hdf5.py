"""HDF5 files, read by a process of their own: no link is followed out of the file.

The HDF5 library, which is written in C, crashes on some damaged files and never returns from others. So it is not let
into this process before it has come through all of the file in another one, which has little time and memory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import auditor
from auditor.errors import BadInputError
from auditor.models.inspection.config import LARGEST
from auditor.models.inspection.interface import Findings, short

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Groups and datasets of a file; the largest models of `keras.applications` have some thousand.
_MOST_OBJECTS = 200_000

#: Bytes that a file may unpack to for each of its own, once they are more than a machine has to spare.
RATIO, SPARE = 100, 256 * 2**20

#: Filters of the HDF5 library itself and of h5py (LZF): others would be loaded as programs.
_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})


#: Seconds that the process may take for any file, and the bytes that it has one more for.
SECONDS, _BYTES_A_SECOND = 20, 20 * 2**20

#: Bytes of memory that it may take for any file, beside a multiple of the file itself.
_MEMORY, _COPIES = 2 * 2**30, 3


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
    groups: list[str]


def read(path: Path, findings: Findings, shown: str = "") -> Contents:
    """Look through an HDF5 file.

    Args:
        path: of the file.
        findings: told of everything unsafe.
        shown: what to name the file by, if not its path; findings then begin with it.

    Raises:
        BadInputError: if it is no HDF5 file, or damaged.
    """
    name, size = shown or str(path), path.stat().st_size
    seconds = SECONDS + size // _BYTES_A_SECOND
    # -P and the path of this package: nothing that lies in the working directory is imported.
    paths = [str(Path(auditor.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    more = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", __name__, str(path.absolute()), str(seconds), str(_MEMORY + _COPIES * size)]
    endless = BadInputError(f"{name} is a damaged HDF5 file: the HDF5 library does not come to an end with it.")
    try:
        ended = subprocess.run(command, capture_output=True, check=False, timeout=3 * seconds, env=os.environ | more)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise endless from error
    if ended.returncode == -getattr(signal, "SIGXCPU", 0) != 0:
        raise endless
    if ended.returncode == 1:
        raise RuntimeError(f"the process that reads HDF5 failed: {ended.stderr.decode(errors='replace')[-1000:]}")
    if ended.returncode:
        raise BadInputError(f"{name} is a damaged HDF5 file: the HDF5 library crashes on it.")
    said = json.loads(ended.stdout)
    if "error" in said:
        raise BadInputError(f"{name} {said['error']}")
    for place, reason in said.pop("findings"):
        findings.add(f"{shown}: {place}" if shown else place, reason)
    return Contents(**said)


def _main(path: str, seconds: str, memory: str) -> None:
    """Look through a file within bounds, and print what was found as JSON."""
    _limit(int(seconds), int(memory))
    findings = Findings()
    try:
        found: dict[str, Any] = asdict(_look_through(Path(path), findings))
        found["findings"] = [(finding.place, finding.reason) for finding in findings.all()]
    except BadInputError as error:
        found = {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - h5py raises whatever the bytes make the HDF5 library say
        found = {"error": f"is no HDF5 file, or a damaged one ({short(error, 200)})."}
    sys.stdout.write(json.dumps(found))


def _limit(seconds: int, memory: int) -> None:
    """Bound processor time and memory of this process, where the system can."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _look_through(path: Path, findings: Findings) -> Contents:
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        attributes = {key: text for key in ("model_config", "keras_version", "backend") if (text := _text(file, key))}
        return Contents(attributes, _parameters(file, path.stat().st_size, findings), sorted(map(str, file.keys())))


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


def _parameters(file: Any, size: int, findings: Findings) -> int:
    """Walk all objects; returns the number of weights."""
    import h5py

    parameters, unpacked, datasets = 0, 0, []
    for place, found in _objects(file, findings):
        if not isinstance(found, h5py.Dataset):
            continue
        datasets.append(found)
        properties = found.id.get_create_plist()
        if found.external or properties.get_external_count():
            findings.add(place, "its values lie in another file")
        if found.is_virtual:
            findings.add(place, "it is put together from other files")
        filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
        if filters - _FILTERS:
            findings.add(place, "it is packed by a program that is no part of HDF5")
        kind = found.dtype.kind
        # Keras writes bfloat16, which HDF5 does not know, as two bytes without a meaning.
        if (kind == "V" and found.dtype.itemsize > 2) or (kind == "O" and h5py.check_string_dtype(found.dtype) is None):
            findings.add(place, "it holds objects, not numbers")
        unpacked += found.dtype.itemsize * found.size if found.size else 0
        if not {"optimizer", "optimizer_weights"} & set(place.split("/")):
            parameters += int(found.size or 0)
    if unpacked > RATIO * size and unpacked > SPARE:
        findings.add("file", f"a compression bomb: {size:,} bytes that unpack to {unpacked:,}, as no weights do")
    if not findings.all():
        for found in datasets:
            # As loading will: what the library does not survive is to happen here.
            found[()]
    return parameters


def _objects(file: Any, findings: Findings) -> Iterator[tuple[str, Any]]:
    """All groups and datasets with their names; each once, whatever the links between them."""
    import h5py

    stack, seen, count = [("", file)], set(), 0
    while stack:
        path, group = stack.pop()
        for key in group:
            count += 1
            if count > _MOST_OBJECTS:
                raise BadInputError("holds more objects than any model.")
            place = f"{path}/{key}" if path else str(key)
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
            yield place, found
            if isinstance(found, h5py.Group):
                stack.append((place, found))


if __name__ == "__main__":
    _main(*sys.argv[1:])
