"""Files: hashes, and writing that leaves either the whole new file or the old one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from auditor.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

AnyModel = TypeVar("AnyModel", bound=BaseModel)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal. Raises `BadInputError` if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.") from error


def sha256_model(path: Path) -> tuple[str, int]:
    """SHA-256 of a model, in hexadecimal, and its size in bytes.

    Of a file it is that of its bytes. Of a folder it is that of the lines `<SHA-256 of the file>  <path below the
    folder>`, one for each file, in the order of the paths; of a link the target stands for the bytes. (`sha256sum` on
    all files, sorted by path, and again on what it prints.)

    Raises:
        BadInputError: if anything cannot be read, or is neither a file nor a folder.
    """
    if not path.is_dir():
        if not path.is_file():
            raise BadInputError(f"{path} is neither a file nor a folder.")
        return sha256_file(path), path.stat().st_size
    whole, size = hashlib.sha256(), 0
    members = sorted((member.relative_to(path).as_posix(), member) for member in path.rglob("*"))
    for name, member in members:
        if member.is_symlink():
            digest = hashlib.sha256(os.fsencode(member.readlink())).hexdigest()
        elif member.is_file():
            digest = sha256_file(member)
            size += member.stat().st_size
        elif member.is_dir():
            continue
        else:
            raise BadInputError(f"{member} is neither a file nor a folder.")
        whole.update(f"{digest}  {name}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest(), size


def read_json(path: Path, kind: type[AnyModel], what: str, holder: str) -> AnyModel:
    """Read a JSON file into a model.

    Args:
        path: the file.
        kind: the model.
        what: what the file should be, for the error.
        holder: of what its folder should be one, for the error.

    Raises:
        BadInputError: if it is missing, unreadable or no such thing; the message names the first field that is wrong.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BadInputError(f"{path.parent} holds no {path.name}; give the folder of {holder}.") from error
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise BadInputError(f"{path} is no {what}: {place}: {first['msg']}.") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path` in one step, else it is removed.

    The temporary name keeps the suffix, because libraries choose the format by it. Raises
    `BadInputError` if the folder cannot be written or the disk is full.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror}. Choose another place.") from error
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; a report is to be read by whoever may read its folder.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one step. Raises `BadInputError` as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8 in one step. Raises `BadInputError` as `replacing` does."""
    write_bytes(path, content.encode())


def make_folder(path: Path) -> None:
    """Make `path` and its parents; raises `BadInputError` unless the result is a folder that can be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise BadInputError(
            f"The output folder {path} cannot be written: {error.strerror}. Choose another with -o."
        ) from error
