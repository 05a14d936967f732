import io
import struct
import subprocess
import tracemalloc
import zipfile

import numpy as np
import pytest

from auditor import AuditSettings, BadInputError, TrainingSettings, audit
from auditor.data import archive
from auditor.data.archive import is_archive, read_archive
from auditor.data.split import find_test_set, training_sets


def arrays(count=6, size=(12, 10), channels=3, first=0):
    """Images and labels of three parts; the first test image is a training image."""
    generator = np.random.default_rng(first)
    shape = (*size, channels) if channels else size
    made = {}
    for part in ("train", "val", "test"):
        made[f"{part}_images"] = generator.integers(0, 256, (count, *shape), dtype=np.uint8)
        made[f"{part}_labels"] = (np.arange(count) % 2).astype(np.uint8)[:, None]
    made["test_images"][0] = made["train_images"][3]
    return made


def save(path, compressed=False, **made):
    (np.savez_compressed if compressed else np.savez)(path, **made)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_the_test_part_is_read(tmp_path, compressed, channels):
    made = arrays(channels=channels)
    path = save(tmp_path / "a.npz", compressed, **made)
    found = find_test_set(path, None, None)
    assert is_archive(path)
    assert (found.chosen, found.left_out, len(found.images)) == ("archive", 12, 6)
    assert (found.overlap, found.overlap_with) == (("test/000000",), "training part")
    assert found.images.classes == ("0", "1")
    assert found.images.labels.tolist() == [0, 1, 0, 1, 0, 1]
    pixels = found.images.pixels((12, 10), channels or 1, 0, 6)
    assert np.array_equal(pixels, made["test_images"].reshape(pixels.shape))
    assert list(tmp_path.iterdir()) == [path]


def test_the_manifest_does_not_depend_on_compression(tmp_path):
    made = arrays()
    first, second = (read_archive(save(tmp_path / f"{c}.npz", c, **made)).images for c in (False, True))
    assert first.manifest_sha256 == second.manifest_sha256
    assert first.manifest_sha256 != read_archive(save(tmp_path / "other.npz", **arrays(first=1))).images.manifest_sha256


def test_classes_can_be_named(tmp_path):
    path = save(tmp_path / "a.npz", **arrays())
    assert read_archive(path, ("benign", "malignant")).images.per_class == {"benign": 3, "malignant": 3}
    with pytest.raises(BadInputError, match="labels up to 1, but only 1 class"):
        read_archive(path, ("benign",))
    with pytest.raises(BadInputError, match="no test image of class 'third'"):
        read_archive(path, ("benign", "malignant", "third"))


def test_training_reads_its_parts(tmp_path):
    train, test = training_sets(save(tmp_path / "a.npz", **arrays()), TrainingSettings())
    assert [image.id for image in train.images][:2] == ["train/000000", "train/000001"]
    assert (len(train), len(test)) == (6, 6)
    with pytest.raises(BadInputError, match="leave out --per-class"):
        training_sets(tmp_path / "a.npz", TrainingSettings(per_class=2))


def test_a_change_meanwhile_is_noticed(tmp_path):
    path = save(tmp_path / "a.npz", **arrays())
    found = read_archive(path).images
    content = bytearray(path.read_bytes())
    content[content.index(b"test_images.npy") + 400] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"test/\d+ changed while it was in use"):
        found.pixels((12, 10), 3, 0, 6)


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    made = arrays(count=40, size=(300, 300))
    path = save(tmp_path / "a.npz", True, **made)
    whole = made["test_images"].nbytes
    del made
    tracemalloc.start()
    found = read_archive(path).images
    for _ in found.stream((8, 8), 3, found.places(4)):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole / 2


class Trap:
    """Leaves a trace where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def with_(**changes):
    return {name: value for name, value in (arrays() | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (with_(test_images=None), "no test_images and test_labels; it holds '"),
        (with_(test_images=np.zeros((6, 9, 9), np.float32)), "type float32"),
        (with_(test_images=np.zeros((6, 9, 9, 9), np.uint8)), "Volumes"),
        (with_(test_images=np.zeros((6, 9, 9, 4), np.uint8)), "at most 3 channels"),
        (with_(test_images=np.zeros((6, 0, 9), np.uint8)), "too little"),
        (with_(test_images=np.zeros(6, np.uint8)), "height and width"),
        (with_(test_images=np.zeros((5, 9, 9), np.uint8)), "5 images and 6 labels"),
        (with_(test_images=np.asfortranarray(np.zeros((6, 9, 9), np.uint8))), "by columns"),
        (with_(test_labels=np.zeros((6, 14), np.uint8)), "multi-label"),
        (with_(test_labels=np.zeros(6, np.float32)), "whole numbers"),
        (with_(test_labels=np.full(6, -1)), "number no class"),
        (with_(test_labels=np.full(6, 2**40)), "number no class"),
        (with_(test_labels=np.full(6, 5000)), "up to 5000"),
        (with_(test_labels=np.zeros(0, np.uint8)), "whole numbers"),
        (with_(test_labels=np.zeros(6, np.uint8)), "no test image of class '1'"),
    ],
)
def test_arrays_that_cannot_be_right_are_plain_errors(tmp_path, made, message):
    with pytest.raises(BadInputError, match=message):
        read_archive(save(tmp_path / "a.npz", **made))


def test_pickled_objects_are_not_loaded(tmp_path):
    trace = tmp_path / "trace"
    made = with_(test_labels=np.array([Trap(trace)] * 6, dtype=object))
    with pytest.raises(BadInputError, match=r"a\.npz"):
        read_archive(save(tmp_path / "a.npz", **made))
    assert not trace.exists()


def header(shape, dtype="|u1"):
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("image_part", "message"),
    [
        (header((10**6, 10**4, 10**4)), "not of the size"),
        (header((-6, -10, 10)) + bytes(600), "not of the size"),
        (header((6, 10, 10)) + bytes(599), "not of the size"),
        (header((6, 10, 10)) + bytes(601), "not of the size"),
        (header((1, 20000, 20000)) + bytes(10), "not of the size"),
        (b"not an array", "damaged"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "damaged"),
        (b"", "damaged"),
    ],
)
@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2])
def test_shapes_that_lie_are_refused(tmp_path, image_part, message, kind):
    labels = io.BytesIO()
    np.save(labels, np.array([0, 1, 0, 1, 0, 1]))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", kind) as file:
        file.writestr("test_images.npy", image_part)
        file.writestr("test_labels.npy", labels.getvalue())
    with pytest.raises(BadInputError, match=message):
        read_archive(tmp_path / "a.npz")


def test_bombs_are_refused_before_they_go_off(tmp_path):
    made = {"test_images": np.zeros((60, 1000, 1000), np.uint8), "test_labels": np.arange(60) % 2}
    path = save(tmp_path / "bomb.npz", True, **made)
    assert path.stat().st_size < 10**5
    with pytest.raises(BadInputError, match="decompression bomb"):
        read_archive(path)


def test_a_full_disk_is_said_before_it_is_full(tmp_path, monkeypatch):
    path = save(tmp_path / "a.npz", True, **arrays())
    usage = archive.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(BadInputError, match="TMPDIR"):
        read_archive(path)


def test_an_image_of_too_many_pixels_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_STORED) as file, file.open("test_images.npy", "w") as out:
        out.write(header((1, 10001, 10000)))
        for _ in range(10001):
            out.write(bytes(10000))
        # The labels come after.
        out.close()
        labels = io.BytesIO()
        np.save(labels, np.array([0]))
        file.writestr("test_labels.npy", labels.getvalue())
    with pytest.raises(BadInputError, match="more than 100 million"):
        read_archive(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda p: None, "does not exist"),
        (lambda p: p.write_bytes(b""), "damaged"),
        (lambda p: p.write_bytes(b"PK\x05\x06" + bytes(18)), "it holds nothing"),
        (lambda p: p.write_text("text"), "damaged"),
    ],
)
def test_what_is_no_archive_is_a_plain_error(tmp_path, prepare, message):
    prepare(tmp_path / "a.npz")
    with pytest.raises(BadInputError, match=message):
        find_test_set(tmp_path / "a.npz", None, None)


def test_a_pipe_is_not_waited_for(tmp_path):
    subprocess.run(["mkfifo", tmp_path / "a.npz"], check=True)
    with pytest.raises(BadInputError, match="no ordinary file"):
        read_archive(tmp_path / "a.npz")


def test_an_archive_is_audited(tmp_path, trained):
    generator = np.random.default_rng(5)
    pixels = generator.uniform(60, 190, (10, 32, 32, 3))
    labels = np.arange(10) % 2
    pixels[labels == 0, ..., 2] += 35
    pixels[labels == 1, ..., 0] += 35
    made = {"test_images": pixels.clip(0, 255).astype(np.uint8), "test_labels": labels[:, None]}
    path = save(tmp_path / "mnist.npz", True, **made)
    result = audit(trained.model, path, tmp_path / "audit", AuditSettings(epsilons=(2 / 255,)))
    data = result.record.data
    assert (data.path, data.split, data.images, data.duplicates) == ("mnist.npz", "archive", 10, [])
    assert "the test part of the archive" in result.reports.html.read_text()
    assert "test/000003" in (result.folder / "predictions.csv").read_text()
