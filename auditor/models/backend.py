"""Keras and TensorFlow, imported quietly and only when a command needs them."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any


def keras() -> Any:
    """Import Keras on TensorFlow without their start-up chatter; returns the module `keras`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    warnings.filterwarnings("ignore", module=r"(keras|tensorflow|art|google)\b")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    import keras as module

    return module
