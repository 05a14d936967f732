"""Files that would run code or reach other files when they are loaded: none of them gets to it."""

import base64
import json
import marshal
import pickle
import re
import warnings
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import draw_folder, medaudit

from auditor.files import sha256_model
from auditor.models.inspection import config, inspect
from auditor.models.inspection.interface import Findings


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("few") / "data", 2)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A harmless model in both formats, to be spoilt."""
    folder = tmp_path_factory.mktemp("plain")
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Activation("relu", name="target")], name="inner")
    outer = keras.Sequential(
        [keras.Input((8, 8, 3)), inner, keras.layers.Flatten(), keras.layers.Dense(2)], name="outer"
    )
    outer.save(folder / "plain.h5")
    outer.save(folder / "plain.keras")
    return folder


def payload(trace):
    """Code, as Keras writes a lambda, that leaves a trace when it is run."""
    code = compile(f"lambda x: (open({str(trace)!r}, 'w').close(), x)[1]", "<lambda>", "eval").co_consts[0]
    return base64.b64encode(marshal.dumps(code)).decode()


def lambda_keras2(trace):
    return {
        "class_name": "Lambda",
        "config": {
            "name": "target",
            "function": [payload(trace), None, None],
            "function_type": "lambda",
            "output_shape_type": "raw",
            "arguments": {},
        },
    }


def lambda_keras3(trace):
    function = {
        "class_name": "__lambda__",
        "config": {"code": payload(trace), "value": payload(trace), "defaults": None, "closure": None},
    }
    return {
        "module": "keras.layers",
        "class_name": "Lambda",
        "registered_name": None,
        "config": {"name": "target", "function": function},
    }


def in_activation(trace):
    function = lambda_keras3(trace)["config"]["function"]
    return {"class_name": "Activation", "config": {"name": "target", "activation": function}}


def in_regularizer(trace):
    function = lambda_keras3(trace)["config"]["function"]
    return {"class_name": "Dense", "config": {"name": "target", "units": 1, "kernel_regularizer": function}}


def in_wrapper(trace):
    return {"class_name": "TimeDistributed", "config": {"name": "target", "layer": lambda_keras2(trace)}}


def in_both_directions(trace):
    return {
        "class_name": "Bidirectional",
        "config": {"name": "target", "layer": lambda_keras2(trace), "backward_layer": lambda_keras2(trace)},
    }


def foreign_module(trace):
    return {
        "module": "os",
        "class_name": "system",
        "registered_name": "system",
        "config": {"name": "target", "command": f"touch {trace}"},
    }


def foreign_function(trace):
    function = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    return {"class_name": "Activation", "config": {"name": "target", "activation": function}}


def helper_function(trace):
    function = {"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"}
    return {"class_name": "Activation", "config": {"name": "target", "activation": function}}


def registered(trace):
    return {"module": None, "class_name": "Evil", "registered_name": "package>Evil", "config": {"name": "target"}}


def builtin_name_registered(trace):
    return {
        "module": "keras.layers",
        "class_name": "Dense",
        "registered_name": "package>Evil",
        "config": {"name": "target"},
    }


def other_model(trace):
    return {
        "module": "keras.layers",
        "class_name": "TFSMLayer",
        "registered_name": None,
        "config": {"name": "target", "filepath": str(trace.parent / "evil_folder"), "call_endpoint": "serve"},
    }


def vocabulary(trace):
    return {"class_name": "StringLookup", "config": {"name": "target", "vocabulary": str(trace.parent / "secret.txt")}}


def torch(trace):
    return {"class_name": "TorchModuleWrapper", "config": {"name": "target", "module": "gASV"}}


def tensorflow_function(trace):
    return {"class_name": "TFOpLambda", "config": {"name": "target", "function": "io.write_file"}}


def nested_losses(trace):
    # The losses of the model itself are never loaded; those of a model inside it would be.
    return {
        "class_name": "Sequential",
        "config": {"name": "target", "layers": []},
        "compile_config": {"loss": lambda_keras3(trace)["config"]["function"]},
    }


def too_many_units(trace):
    return {"class_name": "Dense", "config": {"name": "target", "units": 10**11}}


def too_large(trace):
    return {"class_name": "InputLayer", "config": {"name": "target", "batch_shape": [None, 10**6, 10**6, 3]}}


def too_deep(trace):
    nested = {"class_name": "Activation", "config": {"name": "deepest", "activation": "relu"}}
    for number in range(90):
        nested = {"class_name": "Sequential", "config": {"name": f"m{number}", "layers": [nested]}}
    return {**nested, "config": {**nested["config"], "name": "target"}}


LAYERS = {
    lambda_keras2: "holds Python code",
    lambda_keras3: "holds Python code",
    in_activation: "Python code",
    in_regularizer: "Python code",
    in_wrapper: "holds Python code",
    in_both_directions: "holds Python code",
    foreign_module: "os.system is a class outside Keras",
    foreign_function: "os.function is a class outside Keras",
    helper_function: "calls the function get_file",
    registered: "Evil is a class outside Keras",
    builtin_name_registered: "registered outside Keras",
    other_model: "loads and runs another model",
    vocabulary: "reads the file",
    torch: "a pickle",
    tensorflow_function: "calls io.write_file",
    nested_losses: "Python code",
    too_many_units: "cannot be right",
    too_large: "cannot be right",
    too_deep: "nested more than",
}


def replaced(node, layer):
    """A configuration with a layer in the place of the one named `target`."""
    if isinstance(node, list):
        return [replaced(child, layer) for child in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("config"), dict) and node["config"].get("name") == "target":
        return layer
    return {key: replaced(value, layer) for key, value in node.items()}


def spoil(plain, path, layer):
    """Write the plain model with that layer deep inside it."""
    source = plain / f"plain{path.suffix}"
    if path.suffix == ".h5":
        path.write_bytes(source.read_bytes())
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = json.dumps(replaced(json.loads(file.attrs["model_config"]), layer))
        return path
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                content = json.dumps(replaced(json.loads(content), layer)).encode()
            new.writestr(name, content)
    return path


def refused(capsys, path, images, trace, message):
    """Make sure that neither looking nor auditing does anything but refuse, and that nothing is left."""
    before = sorted(path.parent.rglob("*"))
    code, out, _ = medaudit(capsys, "inspect", path)
    assert code == 2
    assert re.search(message, out), out
    code, out, err = medaudit(
        capsys, "run", path, images, "-o", path.parent / "audit", "--preprocessing", "unit", "--eps", "1/255"
    )
    assert code == 2
    assert "not safe to load and was not" in err
    assert re.search(message, err), err
    assert sorted(path.parent.rglob("*")) == before
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("build", LAYERS, ids=lambda build: build.__name__)
def test_unsafe_layers_are_refused_by_their_path(build, suffix, plain, images, tmp_path, capsys):
    trace = tmp_path / "trace"
    path = spoil(plain, tmp_path / f"evil{suffix}", build(trace))
    where = r"outer/inner/target" if build is not too_deep else "outer/inner/target/m88"
    refused(capsys, path, images, trace, f"{where}\\S*: .*{LAYERS[build]}")


def test_the_payload_works_where_it_is_let(plain, images, tmp_path, capsys):
    # Else the tests above would show nothing.
    trace = tmp_path / "trace"
    path = spoil(plain, tmp_path / "evil.keras", lambda_keras3(trace))
    sha256, _ = sha256_model(path)
    wrong = "0" * 64
    code, _, err = medaudit(capsys, "run", path, images, "--allow-unsafe", wrong, "-o", tmp_path / "audit")
    assert (code, trace.exists()) == (2, False)
    assert "--allow-unsafe with its SHA-256" in err
    code, out, _ = medaudit(
        capsys,
        "run",
        path,
        images,
        "--allow-unsafe",
        sha256.upper(),
        "--preprocessing",
        "unit",
        "--eps",
        "1/255",
        "-o",
        tmp_path / "audit",
    )
    assert trace.exists()
    assert code in (0, 3), out
    record = json.loads((tmp_path / "audit" / "results.json").read_text())
    assert "outer/inner/target: a Lambda layer holds Python code, which loading would run" in record["model"]["unsafe"]
    assert f"--allow-unsafe={sha256}" in record["audit"]["command"]
    assert "Unsafe, and allowed by its SHA-256" in (tmp_path / "audit" / "report.html").read_text()


@pytest.mark.parametrize("given", ["yes", "0" * 63, "g" * 64])
def test_nothing_but_a_sha256_allows(given, plain, images, capsys):
    code, _, err = medaudit(capsys, "run", plain / "plain.h5", images, "--allow-unsafe", given)
    assert code == 2
    assert "--allow-unsafe" in err


class Payload:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


def with_member(plain, path, name, content, **more):
    path.write_bytes((plain / "plain.keras").read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        member = zipfile.ZipInfo(name)
        for key, value in more.items():
            setattr(member, key, value)
        archive.writestr(member, content)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../trace", "leads out of the archive"),
        ("/etc/trace", "leads out of the archive"),
        ("..\\trace", "leads out of the archive"),
        ("C:/trace", "leads out of the archive"),
        ("assets/../../trace", "leads out of the archive"),
        ("weights.pkl", "a pickle"),
        ("assets/vocabulary.txt", "a pickle"),
        ("model.weights.npz", "a pickle"),
        ("config.json", "two members"),
        ("setup.py", "no part of a Keras archive"),
    ],
)
def test_unsafe_members_are_refused(name, message, plain, images, tmp_path, capsys):
    trace, path = tmp_path / "trace", tmp_path / "evil.keras"
    with_member(plain, path, name, b"{}" if name.endswith("json") else pickle.dumps(Payload(trace)))
    refused(capsys, path, images, trace, message)


def test_a_link_in_an_archive_is_refused(plain, images, tmp_path, capsys):
    with_member(plain, tmp_path / "evil.keras", "assets/link", b"/etc/passwd", external_attr=0o120777 << 16)
    refused(capsys, tmp_path / "evil.keras", images, tmp_path / "trace", "assets/link: a symbolic link")


def test_a_bomb_is_not_unpacked(plain, images, tmp_path, capsys):
    path = tmp_path / "bomb.keras"
    with_member(plain, path, "assets/zeros", bytes(2**28), compress_type=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    refused(capsys, path, images, tmp_path / "trace", "archive: a compression bomb")


def test_a_configuration_that_is_a_bomb_is_not_unpacked(plain, tmp_path, capsys):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (65 * 2**20))
    code, _, err = medaudit(capsys, "inspect", path)
    assert code == 2
    assert "would unpack to 68,157,440 bytes" in err


def external_link(file, folder):
    del file["model_weights"]
    file["model_weights"] = h5py.ExternalLink(str(folder / "other.h5"), "/model_weights")


def soft_link(file, folder):
    file["model_weights/loop"] = h5py.SoftLink("/model_weights")


def external_values(file, folder):
    (folder / "secret.bin").write_bytes(bytes(64))
    file.create_dataset("model_weights/leak", (8,), "f8", external=[(str(folder / "secret.bin"), 0, 64)])


def virtual(file, folder):
    layout = h5py.VirtualLayout((8,), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "leak", (8,))
    file.create_virtual_dataset("model_weights/leak", layout)


def objects(file, folder):
    file.create_dataset("model_weights/object", (1,), np.dtype("V900"))


def hollow(file, folder):
    file.create_dataset("model_weights/hollow", (10**10,), "f8", chunks=(1024,))


def packed_by_a_program(file, folder):
    values = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    values.set_chunk((8,))
    values.set_filter(32768, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(file["model_weights"].id, b"packed", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((8,)), values)


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (external_link, "model_weights: a link to another file"),
        (soft_link, "model_weights/loop: a link to /model_weights"),
        (external_values, "model_weights/leak: its values lie in another file"),
        (virtual, "model_weights/leak: it is put together from other files"),
        (objects, "model_weights/object: it holds objects"),
        (hollow, "a compression bomb"),
        (packed_by_a_program, "packed by a program"),
    ],
)
def test_unsafe_hdf5_is_refused(spoiled, message, plain, images, tmp_path, capsys):
    path = tmp_path / "evil.h5"
    path.write_bytes((plain / "plain.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        spoiled(file, tmp_path)
    refused(capsys, path, images, tmp_path / "trace", message)


def test_a_group_in_itself_comes_to_an_end(plain, tmp_path):
    path = tmp_path / "loop.h5"
    path.write_bytes((plain / "plain.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file["model_weights/again"] = file["model_weights"]
    assert inspect(path).safe


def test_links_in_the_weights_of_an_archive_are_refused(plain, images, tmp_path, capsys):
    path = tmp_path / "evil.keras"
    with zipfile.ZipFile(plain / "plain.keras") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if name != "model.weights.h5":
                new.writestr(name, old.read(name))
            else:
                (tmp_path / "w.h5").write_bytes(old.read(name))
                with h5py.File(tmp_path / "w.h5", "r+") as file:
                    file["layers/leak"] = h5py.ExternalLink("/etc/other.h5", "/")
                new.write(tmp_path / "w.h5", name)
    (tmp_path / "w.h5").unlink()
    refused(capsys, path, images, tmp_path / "trace", r"model\.weights\.h5: layers/leak: a link to another file")


class Evil(tf.Module):
    """A SavedModel that does something besides answering."""

    def __init__(self, act):
        super().__init__()
        self.weight = tf.Variable(tf.ones((192, 2)))
        self._act = act

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.float32, name="image")])
    def serve(self, image):
        with tf.control_dependencies([self._act()]):
            return {"scores": tf.reshape(image, (-1, 192)) @ self.weight}


def write_file(trace):
    return lambda: tf.io.write_file(str(trace), "pwned")


def read_file(trace):
    return lambda: tf.io.read_file("/etc/hostname")


def python_function(trace):
    return lambda: tf.py_function(lambda: Path(trace).touch(), [], [])


def numpy_function(trace):
    return lambda: tf.numpy_function(lambda: Path(trace).touch() or np.float32(0), [], tf.float32)


def save_values(trace):
    return lambda: tf.raw_ops.SaveV2(
        prefix=str(trace), tensor_names=["a"], shape_and_slices=[""], tensors=[tf.zeros(1)]
    )


def restore_values(trace):
    return lambda: tf.raw_ops.RestoreV2(
        prefix=str(trace), tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0]


def print_values(trace):
    return lambda: tf.print("hello", output_stream=f"file://{trace}")


def read_records(trace):
    return lambda: tf.data.TextLineDataset("/etc/hostname").reduce(0.0, lambda total, _: total + 1.0)


def in_a_branch(trace):
    def act():
        return tf.cond(
            tf.random.uniform(()) < 2.0,
            lambda: tf.identity(tf.strings.length(tf.io.read_file("/etc/hostname"))),
            lambda: 0,
        )

    return act


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (write_file, "WriteFile"),
        (read_file, "ReadFile"),
        (python_function, "EagerPyFunc"),
        (numpy_function, "PyFunc"),
        (save_values, "SaveV2"),
        (restore_values, "RestoreV2"),
        (print_values, "PrintV2"),
        (read_records, r"\w*Dataset"),
        (in_a_branch, "ReadFile"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_unsafe_operations_are_refused(act, message, images, tmp_path, capsys):
    module, trace = Evil(act(tmp_path / "trace")), tmp_path / "trace"
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"serving_default": module.serve})
    assert not trace.exists()
    refused(capsys, tmp_path / "model", images, trace, rf"\S+/\S+: the operation {message}")


class OnLoading(tf.Module):
    """A SavedModel that does something as soon as it is loaded."""

    def __init__(self, trace):
        super().__init__()
        self.weight = tf.Variable(tf.ones((192, 2)))

        class Resource(tf.saved_model.experimental.TrackableResource):
            def _create_resource(self):
                return tf.raw_ops.HashTableV2(key_dtype=tf.int64, value_dtype=tf.int64)

            def _initialize(self):
                tf.io.write_file(str(trace), "pwned")

        self.resource = Resource()
        self.resource.resource_handle  # noqa: B018 - makes it

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.float32, name="image")])
    def serve(self, image):
        return {"scores": tf.reshape(image, (-1, 192)) @ self.weight}


def test_what_is_done_on_loading_is_refused(images, tmp_path, capsys):
    trace = tmp_path / "trace"
    module = OnLoading(trace)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"serving_default": module.serve})
    trace.unlink(missing_ok=True)
    refused(capsys, tmp_path / "model", images, trace, "the operation WriteFile")
    tf.saved_model.load(str(tmp_path / "model"))
    assert trace.exists(), "the payload would have worked"


def test_a_lambda_beside_a_saved_model_is_refused(images, tmp_path, capsys):
    tf_keras = pytest.importorskip("tf_keras")
    layers = [
        tf_keras.Input((8, 8, 3)),
        tf_keras.layers.Lambda(lambda x: x * 2, name="code"),
        tf_keras.layers.Flatten(),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tf_keras.Sequential([*layers, tf_keras.layers.Dense(2)]).save(tmp_path / "model")
    refused(capsys, tmp_path / "model", images, tmp_path / "trace", "code: a Lambda layer holds Python code")


@pytest.mark.parametrize("name", ["assets/link", "variables/weights.pkl", "plugin.so"])
def test_unsafe_members_of_a_folder_are_refused(name, images, tmp_path, capsys):
    module = Evil(tf.no_op)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"serving_default": module.serve})
    assert inspect(tmp_path / "model").safe
    if name.endswith("link"):
        (tmp_path / "model" / name).symlink_to("/etc/passwd")
    else:
        (tmp_path / "model" / name).write_bytes(b"")
    refused(capsys, tmp_path / "model", images, tmp_path / "trace", f"{name}: ")


def test_a_foreign_operation_is_refused(images, tmp_path, capsys):
    from tensorflow.core.protobuf import saved_model_pb2

    module = Evil(tf.no_op)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"serving_default": module.serve})
    file = tmp_path / "model" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    saved.meta_graphs[0].graph_def.library.function[0].node_def.add(name="evil", op="LoadMyLibrary")
    file.write_bytes(saved.SerializeToString())
    refused(capsys, tmp_path / "model", images, tmp_path / "trace", "LoadMyLibrary is none of TensorFlow's")


def test_hostile_names_do_not_reach_the_terminal(plain, tmp_path, capsys):
    name = "target\x1b[2J[bold]" + "x" * 500
    path = spoil(plain, tmp_path / "evil.h5", {"class_name": "Evil\x1b[31m", "config": {"name": name}})
    code, out, _ = medaudit(capsys, "inspect", path)
    assert code == 2
    assert "\x1b" not in out
    assert "[bold]" in out
    assert max(map(len, out.splitlines())) < 400


def test_every_layer_of_keras_is_known_or_refused():
    from inspect import isclass

    from auditor.models.inspection import known

    libraries = [keras.layers]
    try:
        import tf_keras
    except ImportError:
        pass
    else:
        libraries.append(tf_keras.layers)
    everything = {name for library in libraries for name, value in vars(library).items() if isclass(value)}
    # These make no layer by themselves, or need a class of the user's.
    abstract = {"Layer", "AbstractRNNCell", "DenseFeatures"}
    assert everything - known.LAYERS - known.LOOKUPS - set(known.CODE) - abstract == set()
    assert not known.LAYERS & (set(known.CODE) | known.LOOKUPS)


@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetV2B0", "InceptionResNetV2", "ConvNeXtTiny"])
@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_models_of_keras_itself_are_safe(library, name):
    applications = pytest.importorskip(library).applications
    model = getattr(applications, name)(weights=None, input_shape=(96, 96, 3), classes=2)
    findings = Findings()
    config.describe(config.parse(model.to_json(), name), findings, model.count_params())
    assert findings.all() == []


def test_json_that_is_too_deep_is_a_plain_error(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "deep.keras", "w") as archive:
        archive.writestr("config.json", "[" * 200_000 + "]" * 200_000)
    code, _, err = medaudit(capsys, "inspect", tmp_path / "deep.keras")
    assert code == 2
    assert "too deeply" in err
