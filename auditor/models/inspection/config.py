"""The configuration of a Keras model, walked as the plain data it is: nothing is imported or made of it.

What may stand in it is listed, and everything else is unsafe: whoever writes a file can name any class of any module,
and Keras would look for it.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditor.errors import BadInputError
from auditor.models.inspection import known
from auditor.models.inspection.interface import Findings, Layer, Tensor, short

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of a configuration; that of the largest models of `keras.applications` has one million.
LARGEST = 64 * 2**20

#: Layers, lists and values inside each other; Keras itself gives up before.
DEEPEST = 200

#: Values and lists in a configuration.
_MOST = 5_000_000

#: Largest number that stands for a size, and largest number of values of one shape.
_LARGEST_SIZE, _LARGEST_SHAPE = 2**16, 10**9

_KERAS = re.compile(r"(?:tf_)?keras(?:\.\w+)*")
_KERAS_OPERATIONS = re.compile(r"keras(?:\.src)?\.ops(?:\.\w+)*")
_KERAS_APPLICATIONS = re.compile(r"(?:tf_)?keras(?:\.src)?\.applications\.\w+")
_CAMEL_CASE = re.compile(r"[A-Z][A-Za-z0-9]*")

#: Objects that are harmless or not by what stands in them.
_CHECKED = frozenset({"TFOpLambda", "SlicingOpLambda", "function"})

#: Sizes that are numbers of weights: no file can stand for more of them than it stores.
_STORED = frozenset({"units", "filters"})
_SIZES = frozenset({
    "units", "filters", "kernel_size", "strides", "pool_size", "size", "padding", "cropping", "height", "width",
    "n", "num_heads", "key_dim", "value_dim", "output_dim", "depth_multiplier", "dilation_rate", "groups",
    "pooled_height", "crop_size", "num_tokens",
})  # fmt: skip
_SHAPES = frozenset({"batch_input_shape", "batch_shape", "target_shape", "input_shape", "shape", "build_input_shape"})


@dataclass(frozen=True)
class Described:
    """What a configuration says."""

    layers: list[Layer]
    inputs: list[Tensor]
    outputs: list[Tensor]
    head: str | None


def parse(text: str | bytes, place: str) -> dict[str, Any]:
    """Parse a configuration.

    Raises:
        BadInputError: if it is no JSON, or too large or too deep for the configuration of a model.
    """
    if len(text) > LARGEST:
        raise BadInputError(f"{place} has {len(text):,} bytes: that is no configuration of a model.")
    try:
        config = json.loads(text)
    except RecursionError as error:
        raise BadInputError(f"{place} nests values too deeply for the configuration of a model.") from error
    except ValueError as error:
        raise BadInputError(f"{place} is no JSON ({short(error)}): the file is damaged.") from error
    if not isinstance(config, dict):
        raise BadInputError(f"{place} is no configuration of a model.")
    return config


def describe(config: dict[str, Any], findings: Findings, stored: int) -> Described:
    """Walk a configuration and say what is in it.

    Args:
        config: of a model, as `parse` returns it.
        findings: told of everything unsafe.
        stored: number of weights that the file holds.
    """
    layers = []
    for path, node in _objects(config, findings):
        _check_object(path, node, findings)
        inner = node.get("config")
        if isinstance(inner, dict):
            _check_sizes(path, inner, findings, stored)
        if isinstance(node.get("class_name"), str) and _is_layer(node):
            layers.append(Layer(path=short(path, 200), kind=short(node["class_name"])))
    return Described(layers, *_ends(config))


def _objects(config: dict[str, Any], findings: Findings) -> Iterator[tuple[str, dict[str, Any]]]:
    """All objects of a configuration, outer ones first, each with its path.

    A stack in place of recursion: no depth of the file can exhaust Python's.
    """
    # Losses and metrics of the model itself: it is loaded without them. Those of a model inside it are not left out.
    top = {key: value for key, value in config.items() if key not in ("compile_config", "training_config")}
    stack: list[tuple[Any, str, str, int]] = [(top, "", "model", 0)]
    seen = 0
    while stack:
        node, path, key, depth = stack.pop()
        seen += 1
        if seen > _MOST:
            findings.add("configuration", f"more than {_MOST:,} values, as no model has")
            return
        if not isinstance(node, dict | list):
            continue
        if depth > DEEPEST:
            findings.add(path, f"nested more than {DEEPEST} deep, as no model is")
            continue
        if isinstance(node, list):
            stack.extend((child, path, key, depth + 1) for child in reversed(node))
            continue
        if "class_name" in node:
            path = _extended(path, key, node)
            yield path, node
        stack.extend((child, path, str(name), depth + 1) for name, child in reversed(node.items()))


def _extended(path: str, key: str, node: dict[str, Any]) -> str:
    """Path of an object: of a layer by its name, of another by the key it stands under."""
    inner = node.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    name = name if isinstance(name, str) and name else node.get("name")
    own = short(name) if isinstance(name, str) and name else short(key)
    return f"{short(path, 300)}/{own}" if path else own


def _is_layer(node: dict[str, Any]) -> bool:
    inner = node.get("config")
    return isinstance(inner, dict) and ("name" in inner or "layers" in inner) and node["class_name"] not in known.PARTS


def _check_object(path: str, node: dict[str, Any], findings: Findings) -> None:
    """Add a finding for an object that is not known to be harmless."""
    name, module, registered = node["class_name"], node.get("module"), node.get("registered_name")
    if not isinstance(name, str) or not isinstance(module, str | None) or not isinstance(registered, str | None):
        findings.add(path, "its class is not named by text")
    elif name in known.CODE:
        findings.add(path, known.CODE[name])
    elif reason := _foreign(name, module, registered, node.get("config")) or _reaching(name, node.get("config")):
        findings.add(path, reason)


def _foreign(name: str, module: str | None, registered: str | None, inner: Any) -> str | None:
    """Why a class is none that Keras is known to have; None if it is one."""
    shown = short(f"{module}.{name}" if module else name)
    own = {name, inner if isinstance(inner, str) else name}
    if name in known.APPLICATIONS and module and _KERAS_APPLICATIONS.fullmatch(module):
        own.add(f"Custom>{name}")
    elif name in known.PARTS and module == known.INITIALIZERS:
        return None
    elif (module and module != "builtins" and not _KERAS.fullmatch(module)) or not (
        name in known.LAYERS | known.PARTS | known.LOOKUPS | _CHECKED
        or (module and _KERAS_OPERATIONS.fullmatch(module) and _CAMEL_CASE.fullmatch(name))
    ):
        return f"{shown} is a class outside Keras"
    if registered and registered not in own and not registered.startswith(("keras.", "builtins.")):
        return f"{short(registered)} is registered outside Keras"
    return None


def _reaching(name: str, inner: Any) -> str | None:
    """Why a class of Keras is unsafe with what stands in its configuration; None if it is not."""
    given = inner if isinstance(inner, dict) else {}
    if name in ("TFOpLambda", "SlicingOpLambda"):
        function = given.get("function")
        if not (isinstance(function, str) and known.TENSORFLOW.fullmatch(function)):
            return f"calls {short(function)} of TensorFlow, which is not known to be harmless"
    if name == "function" and not (isinstance(inner, str) and inner in known.FUNCTIONS):
        return f"calls the function {short(inner)}, which is none of Keras's activations"
    if name in known.LOOKUPS and isinstance(given.get("vocabulary"), str):
        return f"reads the file {short(given['vocabulary'])}"
    return None


def _check_sizes(path: str, config: dict[str, Any], findings: Findings, stored: int) -> None:
    """Add a finding for a size that cannot be right: Keras would try to make room for it."""
    for key in _SIZES & config.keys():
        largest = max(_numbers(config[key]), default=0)
        if largest > (stored if key in _STORED else _LARGEST_SIZE):
            findings.add(path, f"{key} of {largest:,} cannot be right: the file holds {stored:,} weights")
    for key in _SHAPES & config.keys():
        if math.prod(max(n, 1) for n in _numbers(config[key])) > _LARGEST_SHAPE:
            findings.add(path, f"a {key} of more than {_LARGEST_SHAPE:,} values cannot be right")


def _numbers(value: Any) -> list[int]:
    """Numbers of a size or a shape; one that stands for no number of anything is as bad as a large one."""
    values = value if isinstance(value, list) else [value]
    flat = [n for part in values for n in (part if isinstance(part, list) else [part]) if isinstance(n, int | float)]
    return [int(n) if math.isfinite(n) else 2**63 for n in flat]


def _ends(config: dict[str, Any]) -> tuple[list[Tensor], list[Tensor], str | None]:
    """Inputs, outputs and last step of a model, as far as its configuration says."""
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else inner
    if not isinstance(layers, list):
        return [], [], None
    described = [layer for layer in layers if isinstance(layer, dict)]
    named = {_name(layer): layer for layer in described}
    if isinstance(inner, dict) and "input_layers" in inner:
        first, last = _named_ends(inner["input_layers"]), _named_ends(inner.get("output_layers"))
    else:
        first, last = [_name(layer) for layer in described[:1]], [_name(layer) for layer in described[-1:]]
    inputs = [_input(name, named.get(name, {})) for name in first]
    outputs = [Tensor(name=short(name)) for name in last]
    return inputs, outputs, _head(named.get(last[0], {})) if len(last) == 1 else None


def _named_ends(ends: Any) -> list[str]:
    """Layer names of `input_layers` or `output_layers`: `[name, 0, 0]`, a list or a dictionary of such."""
    if isinstance(ends, dict):
        ends = list(ends.values())
    if not isinstance(ends, list):
        return []
    if len(ends) == 3 and isinstance(ends[0], str):
        ends = [ends]
    return [end[0] for end in ends if isinstance(end, list) and end and isinstance(end[0], str)]


def _name(layer: dict[str, Any]) -> str:
    inner = layer.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    return str(name or layer.get("name") or "unnamed")


def _input(name: str, layer: dict[str, Any]) -> Tensor:
    config = layer.get("config")
    config = config if isinstance(config, dict) else {}
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    valid = isinstance(shape, list) and all(n is None or (isinstance(n, int) and abs(n) < 2**63) for n in shape)
    dtype = config.get("dtype")
    return Tensor(
        name=short(name), shape=shape if valid else None, dtype=short(dtype) if isinstance(dtype, str) else None
    )


def _head(layer: dict[str, Any]) -> str | None:
    """The last activation of a model: that of its last layer, or of the last layer of the model that this is."""
    for _ in range(DEEPEST):
        config = layer.get("config")
        inner = config.get("layers") if isinstance(config, dict) else None
        if not (isinstance(inner, list) and inner and isinstance(inner[-1], dict)):
            break
        layer = inner[-1]
    if not layer:
        return None
    config = layer.get("config")
    activation = config.get("activation") if isinstance(config, dict) else None
    if isinstance(activation, dict):
        activation = activation.get("config") if isinstance(activation.get("config"), str) else "of its own"
    kind = short(layer.get("class_name"))
    return f"{kind} with activation {short(activation)}" if isinstance(activation, str) else kind
