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


def describe(precision: str, crafting: str = "float32", repeatability: str = "") -> Environment:
    """Describe this Python, the packages that matter to the figures, the machine, and the number formats.

    Args:
        precision: number formats of the model.
        crafting: number formats of the gradients.
        repeatability: what was measured of repetition and batch size.
    """
    import tensorflow as tf

    return Environment(
        python=platform.python_version(),
        packages={name: version(name) for name in _PACKAGES},
        platform=f"{platform.system()} {platform.machine()}",
        cpu=_cpu(),
        gpu=[device.name for device in tf.config.list_physical_devices("GPU")],
        precision=precision,
        crafting=crafting,
        repeatability=repeatability,
    )


def has_bfloat16() -> bool:
    """Tell whether the processor multiplies in bfloat16 (AMX, AVX512-BF16), or there is a GPU that does."""
    return has_fast_bfloat16() or "avx512_bf16" in _flags()


def has_fast_bfloat16() -> bool:
    """Tell whether bfloat16 is several times as fast as float32: with AMX or a GPU; AVX512-BF16 alone is twice."""
    return "amx_bf16" in _flags() or _has_capable_gpu()


def _has_capable_gpu() -> bool:
    import tensorflow as tf

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return any(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)


def _flags() -> set[str]:
    """What the processor can do, by the names that Linux has for it; nothing where the system does not tell."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.is_file() else []
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def _cpu() -> str:
    """Model name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
