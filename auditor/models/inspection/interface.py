"""What a static inspection finds."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Finding(_Part):
    """Something unsafe: loading the file could run code, reach other files, or exhaust the machine."""

    place: str
    """Path of the layer, member, dataset or operation in the file."""
    reason: str
    """What is wrong with it, in words."""

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Layer(_Part):
    """A layer as the configuration names it."""

    path: str
    """Names of the layers around it and its own, with slashes."""
    kind: str
    """Its class."""


class Tensor(_Part):
    """An input or an output as the configuration names it."""

    name: str
    """Of the layer or of the key of the signature."""
    shape: list[int | None] | None = None
    """Null where the file does not say; a size within it is null where it is free."""
    dtype: str | None = None
    """Number format; null where the file does not say."""


class Inspection(_Part):
    """What a model file says of itself, read without executing any of it."""

    path: str
    """Name of the file or folder."""
    format: str
    """`Keras HDF5`, `Keras archive` or `TensorFlow SavedModel`."""
    sha256: str
    """SHA-256 of the file; of a folder as `auditor.files.sha256_model` defines it."""
    size: int
    """Bytes."""
    written_by: str | None = None
    """The version that wrote it, as it says itself."""
    inputs: list[Tensor] = []
    """What it takes."""
    outputs: list[Tensor] = []
    """What it answers with."""
    head: str | None = None
    """Its last step as the configuration names it; an audit settles it on the graph and the answers."""
    parameters: int = 0
    """Numbers stored as weights, without those of an optimizer."""
    layers: list[Layer] = []
    """In the order of the configuration; empty where the file holds none."""
    findings: list[Finding] = []
    """What is unsafe; empty if nothing is."""

    @property
    def safe(self) -> bool:
        """Whether nothing unsafe was found."""
        return not self.findings


class Findings:
    """Collects findings, each once, and no more than anyone reads.

    Args:
        most: number that is kept.
    """

    def __init__(self, most: int = 200) -> None:
        self._found: dict[tuple[str, str], Finding] = {}
        self._most = most

    def add(self, place: str, reason: str) -> None:
        """Keep a finding. Text from the file is cut to a length that can be read."""
        if len(self._found) < self._most:
            place = short(place, 200)
            self._found.setdefault((place, reason), Finding(place=place, reason=reason))

    def all(self) -> list[Finding]:
        """What was found, in order."""
        return list(self._found.values())


def short(text: object, length: int = 60) -> str:
    """Text from a file, cut to `length` characters."""
    whole = str(text)
    return whole if len(whole) <= length else whole[: length - 1] + "…"
