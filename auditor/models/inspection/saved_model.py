"""TensorFlow SavedModel folders: every operation of every function that loading or asking could reach."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from auditor.errors import BadInputError
from auditor.models.backend import quiet_import
from auditor.models.inspection import config, known
from auditor.models.inspection.interface import Findings, Layer, Tensor, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

GRAPH, KERAS = "saved_model.pb", "keras_metadata.pb"

#: The key of the signature that a model is asked by, in the order of preference.
SIGNATURES = ("serving_default", "serve")

#: Bytes of the graph; protocol buffers hold no more.
_LARGEST = 2**31 - 1

#: What only the saving and restoring of checkpoints needs; it is no part of asking the model.
_SAVING = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"})


def read(path: Path, findings: Findings) -> dict[str, Any]:
    """Read the graph of a SavedModel.

    Args:
        path: the folder.
        findings: told of everything unsafe.

    Returns:
        The fields of `Inspection` that the folder tells of.

    Raises:
        BadInputError: if it is no SavedModel, or damaged.
    """
    _check_members(path, findings)
    saved = _parse(path)
    if not saved.meta_graphs:
        raise BadInputError(f"{path / GRAPH} holds no graph: it is no SavedModel.")
    # TensorFlow loads the graph with the tag "serve"; the others are looked at because they are there.
    for graph in saved.meta_graphs:
        _check_graph(graph, findings)
    graph = next((g for g in saved.meta_graphs if "serve" in g.meta_info_def.tags), saved.meta_graphs[0])
    key = next((key for key in SIGNATURES if key in graph.signature_def), None)
    signature = graph.signature_def[key] if key else None
    version = graph.meta_info_def.tensorflow_version
    return {
        "written_by": f"TensorFlow {short(version)}" if version else None,
        "inputs": list(_tensors(signature.inputs)) if signature else [],
        "outputs": list(_tensors(signature.outputs)) if signature else [],
        "parameters": _parameters(graph),
        "layers": _keras_layers(path, graph, findings),
    }


def _check_members(path: Path, findings: Findings) -> None:
    for member in sorted(path.rglob("*")):
        name = member.relative_to(path).as_posix()
        if member.is_symlink():
            findings.add(name, "a link, which may lead out of the folder")
        elif not (member.is_file() or member.is_dir()):
            findings.add(name, "neither a file nor a folder")
        elif name.lower().endswith((".pkl", ".pickle", ".joblib", ".so", ".py")):
            findings.add(name, "a pickle or a program, no part of a SavedModel")


def _parse(path: Path) -> Any:
    """Parse the protocol buffer: data alone, nothing of it is run."""
    with quiet_import():
        from google.protobuf.message import DecodeError
        from tensorflow.core.protobuf import saved_model_pb2

    file = path / GRAPH
    try:
        if file.stat().st_size > _LARGEST:
            raise BadInputError(f"{file} is too large for the graph of a model.")
        saved = saved_model_pb2.SavedModel()
        saved.ParseFromString(file.read_bytes())
    except OSError as error:
        raise BadInputError(f"{file} cannot be read: {error.strerror}.") from error
    except (DecodeError, RecursionError, ValueError) as error:
        raise BadInputError(f"{file} is no graph of TensorFlow, or a damaged one.") from error
    return saved


def _check_graph(graph: Any, findings: Findings) -> None:
    """Add a finding for every operation that does anything but arithmetic."""
    bodies = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    saving = _only_saving(graph, bodies)
    for place, node in _nodes(graph, bodies):
        if reason := _refused(node.op):
            function = place.partition("/")[0]
            if not (node.op in _SAVING and (function in saving or place in saving)):
                findings.add(place, reason)
    for asset in graph.asset_file_def:
        name = asset.filename
        if name.startswith("/") or ".." in name.replace("\\", "/").split("/") or ":" in name:
            findings.add(short(name), "its path leads out of the folder")


def _nodes(graph: Any, bodies: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for node in graph.graph_def.node:
        yield short(node.name, 120), node
    for name, nodes in bodies.items():
        for node in nodes:
            yield f"{short(name)}/{short(node.name, 120)}", node


def _refused(name: str) -> str | None:
    """Why an operation is unsafe; None if it is not."""
    operations = _operations()
    if name not in operations:
        return f"the operation {short(name)} is none of TensorFlow's"
    if name in known.STATEFUL or name in ("Const", "HostConst"):
        return None
    if operations[name] or known.REACHING.fullmatch(name):
        return f"the operation {short(name)} can reach outside the model: files, code, devices or other state"
    return None


@cache
def _operations() -> dict[str, bool]:
    """All operations of TensorFlow by name, and whether each is stateful."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    every = op_def_pb2.OpList()
    every.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {operation.name: operation.is_stateful for operation in every.op}


def _only_saving(graph: Any, bodies: dict[str, Any]) -> set[str]:
    """Functions and nodes that only the saving and restoring of checkpoints reaches.

    They are called from the nodes that `saver_def` names and from nowhere else: neither by a signature, nor by the
    objects that are made when the model is loaded.
    """
    nodes = {node.name: node for node in graph.graph_def.node}
    saver = graph.saver_def
    ends = (saver.filename_tensor_name, saver.save_tensor_name, saver.restore_op_name)
    saving_nodes = _upstream((name.partition(":")[0] for name in ends if name), nodes)
    signatures = (
        tensor.name.partition(":")[0]
        for signature in graph.signature_def.values()
        for tensor in (*signature.inputs.values(), *signature.outputs.values())
    )
    asked = _upstream(signatures, nodes)
    used = _called([nodes[name] for name in nodes.keys() - (saving_nodes - asked)], bodies)
    for item in graph.object_graph_def.nodes:
        kind = item.WhichOneof("kind")
        if kind == "function":
            used |= _reachable(item.function.concrete_functions, bodies)
        elif kind == "bare_concrete_function":
            used |= _reachable([item.bare_concrete_function.concrete_function_name], bodies)
    return (bodies.keys() - used) | {short(name, 120) for name in saving_nodes - asked}


def _upstream(starts: Iterable[str], nodes: dict[str, Any]) -> set[str]:
    """Names of the nodes that some nodes depend on, and of these themselves."""
    return _closure(starts, nodes, lambda node: (source.lstrip("^").partition(":")[0] for source in node.input))


def _called(nodes: Iterable[Any], bodies: dict[str, Any]) -> set[str]:
    """Names of the functions that nodes call, directly or not."""
    return _reachable((name for node in nodes for name in _calls(node)), bodies)


def _reachable(starts: Iterable[str], bodies: dict[str, Any]) -> set[str]:
    """Names of the functions that some functions call, directly or not, and of these themselves."""
    return _closure(starts, bodies, lambda body: (called for node in body for called in _calls(node)))


def _closure(starts: Iterable[str], known: dict[str, Any], following: Callable[[Any], Iterable[str]]) -> set[str]:
    """Names in `known` that are reached from some, these among them; `following` names those after one."""
    stack, found = list(starts), set()
    while stack:
        name = stack.pop()
        if name in found or name not in known:
            continue
        found.add(name)
        stack.extend(following(known[name]))
    return found


def _calls(node: Any) -> Iterator[str]:
    # An operation may also be the name of a function.
    yield node.op
    for value in node.attr.values():
        if value.func.name:
            yield value.func.name
        for function in value.list.func:
            yield function.name


def _tensors(ends: Any) -> Iterator[Tensor]:
    from tensorflow.core.framework import types_pb2

    for name in sorted(ends):
        shape = ends[name].tensor_shape
        sizes = None if shape.unknown_rank else [size.size if size.size >= 0 else None for size in shape.dim]
        try:
            dtype = types_pb2.DataType.Name(ends[name].dtype).removeprefix("DT_").lower()
            dtype = {"half": "float16", "float": "float32", "double": "float64"}.get(dtype, dtype)
        except ValueError:
            dtype = None
        yield Tensor(name=short(name), shape=sizes, dtype=dtype)


def _parameters(graph: Any) -> int:
    """Number of values of the variables that are no part of an optimizer."""
    variables = [item.variable for item in graph.object_graph_def.nodes if item.WhichOneof("kind") == "variable"]
    # One without dimensions counts steps. Keras 3 tracks each variable twice.
    sizes = {
        variable.name or index: math.prod(max(size.size, 0) for size in variable.shape.dim)
        for index, variable in enumerate(variables)
        if variable.shape.dim and not variable.name.startswith("optimizer")
    }
    return sum(sizes.values())


def _keras_layers(path: Path, graph: Any, findings: Findings) -> list[Layer]:
    """Layers that Keras 2 wrote down in the graph or beside it. They are not loaded from there, but others might."""
    file = path / KERAS
    objects = [item.user_object for item in graph.object_graph_def.nodes]
    texts = [item.metadata for item in objects if item.identifier != _METRIC and item.metadata.startswith("{")]
    if file.is_file() and not file.is_symlink():
        try:
            texts += _texts(file.read_bytes())
        except OSError as error:
            raise BadInputError(f"{file} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise BadInputError(f"{file} is damaged: move it away; the model itself is in {GRAPH}.") from error
    layers: list[Layer] = []
    for text in texts:
        metadata = config.parse(text, f"the description of the layers in {path}")
        found = config.describe(metadata, findings, _UNLIMITED)
        if metadata.get("class_name") in ("Functional", "Sequential", "Model"):
            layers = max(layers, found.layers, key=len)
    return layers


#: What Keras 2 calls metrics, which belong to training.
_METRIC = "_tf_keras_metric"

#: The graph holds the sizes that count; those of the configuration are not used.
_UNLIMITED = 2**62


def _texts(content: bytes) -> Iterator[str]:
    """JSON texts of `keras_metadata.pb`: of each object in field 1 its field 5; field 4 says what kind it is."""
    for number, item in _fields(content):
        fields = dict(_fields(item)) if number == 1 else {}
        text = fields.get(5, b"")
        if text[:1] == b"{" and fields.get(4) != _METRIC.encode():
            yield text.decode("utf-8", errors="replace")


def _fields(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields of a protocol buffer that are texts or messages, by number; those of another kind are passed over."""
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        kind = tag & 7
        if kind == 0:
            _, place = _varint(content, place)
        elif kind == 2:
            length, place = _varint(content, place)
            yield tag >> 3, content[place : place + length]
            place += length
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            raise ValueError("no field of a protocol buffer")


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(content) and shift < 70:
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
    raise ValueError("no number of a protocol buffer")
