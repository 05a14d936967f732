"""What a model file is and whether it is safe to load, read without executing any of it or importing Keras.

A model file is a program that somebody else wrote. So its configuration is read as plain data first, and what is not
known to be harmless is refused, by the path of the layer it stands in. `config.py` walks the configuration; `hdf5.py`,
`archive.py` and `saved_model.py` read the three formats.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from auditor.errors import BadInputError
from auditor.files import sha256_model
from auditor.models.inspection.interface import Finding, Findings, Inspection, Layer, Tensor, short

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMATS", "Finding", "Inspection", "Layer", "Tensor", "inspect"]

#: Endings of the model files that can be loaded, and the name of their format.
FORMATS = {".h5": "Keras HDF5", ".hdf5": "Keras HDF5", ".keras": "Keras archive"}


def inspect(path: Path) -> Inspection:
    """Read what a model file or folder says of itself, and what is unsafe in it.

    Nothing of it is executed, no class it names is looked up, and no path in it is opened.

    Raises:
        BadInputError: if it is missing, no model, damaged, or holds weights alone.
    """
    if not path.exists():
        raise BadInputError(f"The model {path} does not exist.")
    sha256, size = sha256_model(path)
    known = {"path": path.absolute().name, "sha256": sha256, "size": size}
    findings = Findings()
    if path.is_dir():
        from auditor.models.inspection import saved_model

        if not (path / saved_model.GRAPH).is_file():
            raise BadInputError(
                f"{path} is a folder without {saved_model.GRAPH}: no SavedModel. Name a model file, or such a folder."
            )
        said = saved_model.read(path, findings)
        return Inspection(**known, format="TensorFlow SavedModel", **said, findings=findings.all())
    if path.suffix not in FORMATS:
        raise BadInputError(
            f"{path} is not named like a Keras model; its name must end in {', '.join(FORMATS)}, or be the folder of a "
            "SavedModel."
        )
    from auditor.models.inspection import archive, config, hdf5

    # Keras goes by the name and the content alike: a .keras that is no archive is what early Keras 2 wrote.
    if path.suffix == ".keras" and zipfile.is_zipfile(path):
        described, version, stored = archive.read(path, findings)
        kind = FORMATS[path.suffix]
    else:
        contents = hdf5.read(path, findings)
        kind, version, stored = "Keras HDF5", contents.attributes.get("keras_version"), contents.parameters
        if "model_config" not in contents.attributes:
            raise BadInputError(_no_model(path, contents.groups))
        described = config.parse(contents.attributes["model_config"], f"{path}: model_config")
    found = config.describe(described, findings, stored)
    return Inspection(
        **known,
        format=kind,
        written_by=f"Keras {short(version)}" if version else None,
        inputs=found.inputs,
        outputs=found.outputs,
        head=found.head,
        parameters=stored,
        layers=found.layers,
        findings=findings.all(),
    )


def _no_model(path: Path, groups: list[str]) -> str:
    if groups:
        return (
            f"{path} holds weights only, not the model they belong to. Build the model in Keras, load these weights "
            "into it, and save it whole with model.save()."
        )
    return f"{path} is an HDF5 file without a Keras model in it."
