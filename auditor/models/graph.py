"""A TensorFlow SavedModel as a network: its graph, with all functions put in their places."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from auditor.errors import BadInputError
from auditor.models.inspection.interface import short
from auditor.models.network import Network, counted, refuse_several

if TYPE_CHECKING:
    from pathlib import Path

#: Values of a constant above which it is kept once beside the graphs, and not within each of them.
_LARGE = 1024

_PLUMBING = frozenset({"Const", "Identity", "NoOp", "Placeholder", "ReadVariableOp", "VarHandleOp"})


class GraphNetwork(Network):
    """A SavedModel, asked by its serving signature.

    Args:
        path: of the folder, for errors.
        loader: `TensorFlow 2.21.0`.
        signature: the concrete function of the signature.
    """

    def __init__(self, path: Path, loader: str, signature: Any) -> None:
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        inputs, outputs = list(signature.structured_input_signature[1]), list(signature.structured_outputs)
        refuse_several(str(path), inputs, outputs)
        # Variables become constants and functions are put in their places: the end of the graph can be seen.
        frozen = convert_variables_to_constants_v2(signature, lower_control_flow=False)
        self._input, self._output = frozen.inputs[0].name, frozen.outputs[0].name
        image, answer = frozen.inputs[0].shape, frozen.outputs[0].shape
        if image.rank is None or answer.rank is None:
            raise BadInputError(
                f"{path} does not say which shapes it takes and answers with; save it with a signature."
            )
        self._graph, self._constants = frozen.graph.as_graph_def(), {}
        for node in [node for node in self._graph.node if node.op == "Const"]:
            value = tf.make_ndarray(node.attr["value"].tensor)
            if value.size > _LARGE:
                self._constants[f"{node.name}:0"] = tf.constant(value)
                self._graph.node.remove(node)
        self._operations = [operation for operation in frozen.graph.get_operations() if operation.type not in _PLUMBING]
        self._variables = [(tuple(variable.shape), variable.dtype.name) for variable in signature.variables]
        layouts = {operation.get_attr("data_format") for operation in self._operations if _has_layout(operation)}
        super().__init__(
            str(path), loader, image.as_list(), frozen.inputs[0].dtype.name, answer.as_list(), b"NCHW" in layouts
        )

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(shape) for shape, _ in self._variables)

    @property
    def architecture(self) -> str:
        """The operations, counted by kind, in the order of their first use."""
        return counted(operation.type for operation in self._operations)

    @property
    def activations(self) -> int:
        """Values that the operations put out for one image."""
        shapes = [output.shape for operation in self._operations for output in operation.outputs]
        return sum(
            math.prod(size for size in shape.as_list()[1:] if size)
            for shape in shapes
            if shape.rank and shape.as_list()[0] is None
        )

    @property
    def own_preprocessing(self) -> str | None:
        """None: a graph does not say which of its operations scale the input."""
        return None

    @property
    def precision(self) -> str:
        """Number formats the operations compute in."""
        kinds = {output.dtype for operation in self._operations for output in operation.outputs}
        return ", ".join(sorted(kind.name for kind in kinds if kind.is_floating)) or "none"

    @property
    def weights(self) -> str:
        """Number formats of the weights."""
        return ", ".join(sorted({dtype for _, dtype in self._variables})) or "none"

    def _ask(self, inputs: Any) -> Any:
        import tensorflow as tf

        known = {name: tf.identity(value) for name, value in self._constants.items()} | {self._input: inputs}
        found = tf.graph_util.import_graph_def(self._graph, known, return_elements=[self._output], name="model")
        return found[0]


def load_graph(path: Path) -> GraphNetwork:
    """Load a SavedModel that was found to be safe.

    Raises:
        BadInputError: if TensorFlow cannot load it, or it has no signature to be asked by.
    """
    import tensorflow as tf

    from auditor.models.inspection.saved_model import SIGNATURES

    try:
        loaded = tf.saved_model.load(str(path))
        signature = next((loaded.signatures[key] for key in SIGNATURES if key in loaded.signatures), None)
        if signature is None:
            raise BadInputError(
                f"{path} has no signature {' or '.join(map(repr, SIGNATURES))} to be asked by. Export it from Keras "
                "with model.export()."
            )
        return GraphNetwork(path, f"TensorFlow {tf.__version__}", signature)
    except BadInputError:
        raise
    except Exception as error:  # TensorFlow raises whatever the graph makes it
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInputError(f"{path} cannot be loaded as a SavedModel: {short(reason, 300)}") from error


def _has_layout(operation: Any) -> bool:
    return "data_format" in operation.node_def.attr
