"""Keras, TensorFlow and ART, imported quietly and only when a command needs them."""

from __future__ import annotations

import contextlib
import logging
import logging.config
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def keras() -> Any:
    """Import Keras on TensorFlow without their start-up chatter; returns the module `keras`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if "keras" not in sys.modules:
        with quiet_import():
            import keras as module
            import tensorflow as tf
        tf.get_logger().setLevel(logging.ERROR)
        # Keras warns of its own file format when it writes .h5; the format is the user's choice.
        logging.getLogger("absl").setLevel(logging.ERROR)
    else:
        import keras as module
    return module


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Import something that writes to standard error, warns, or takes over logging, and let it do none of these.

    TensorFlow's C++ code logs before it can be told not to. ART configures the logging of the whole process
    when it is imported, which closes the handlers of the program that uses this package.
    """
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - os.devnull is no file to name
            os.dup2(nowhere.fileno(), 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        logging.config.dictConfig = configure
