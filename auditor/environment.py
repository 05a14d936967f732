"""What the figures were computed with."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from auditor.record import Environment

_PACKAGES = (
    "adversarial-robustness-toolbox",
    "h5py",
    "keras",
    "medaudit",
    "numpy",
    "pillow",
    "scikit-learn",
    "scipy",
    "tensorflow",
)


def now() -> str:
    """Current UTC time in ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def describe(precision: str) -> Environment:
    """Describe this Python, the packages that matter to the figures, the machine, and the model's number formats."""
    import tensorflow as tf

    return Environment(
        python=platform.python_version(),
        packages={name: version(name) for name in _PACKAGES},
        platform=f"{platform.system()} {platform.machine()}",
        cpu=_cpu(),
        gpu=[device.name for device in tf.config.list_physical_devices("GPU")],
        precision=precision,
    )


def _cpu() -> str:
    """Model name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
