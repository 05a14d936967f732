"""Whatever stands in a file, reading it ends in a result or in a plain error, in little time and memory.

Every parser gets files that were valid once: bits flipped, bytes cut out, put in, doubled, numbers replaced.
"""

import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import medaudit
from engine.test_journal import CELLS, LABELS, part
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.data import get_testdata_file

from auditor import AuditSettings, BadInputError, render
from auditor.comparison.record import FILE_NAME as COMPARISON
from auditor.comparison.record import read_comparison
from auditor.data.archive import read_archive
from auditor.data.images import open_image
from auditor.data.manifest import read_manifest
from auditor.data.pixels import UnreadableImageError
from auditor.engine.journal import Header, Journal, read_header
from auditor.policy import read_policy
from auditor.predictions import read_predictions
from auditor.record import FILE_NAME, read_record
from auditor.sidecar import read_sidecar, sidecar_path

#: Seconds that reading one of these small files may take on a busy machine; each takes milliseconds.
PATIENCE = 20.0

few = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

#: What hurts most where a number or a value stood.
NASTY = [
    b"-1", b"0", b"1e999", b"NaN", b"null", b'"x"', b"99999999999999999999", b"9" * 5000, b"[" * 3000, b"{}", b"1/0",
    b"\\ud800", b"\xef\xbb\xbf", b"\x00", b"=1+1", b"\r", b'"',
]  # fmt: skip


@st.composite
def changes(draw):
    """A list of what to do to the bytes of a file; places are shares of its length."""
    change = st.tuples(
        st.sampled_from(["flip", "set", "cut", "insert", "double", "number"]),
        # The beginning of a file says most of what it is.
        st.one_of(st.floats(0, 1), st.floats(0, 0.1)),
        st.integers(0, 255),
        st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from(NASTY)),
    )
    return draw(st.lists(change, min_size=1, max_size=6)), draw(st.one_of(st.just(1.0), st.floats(0, 1)))


def mutated(valid, done):
    """Bytes of a file after these changes."""
    steps, keep = done
    content = bytearray(valid)
    for kind, share, value, piece in steps:
        place = min(int(share * len(content)), max(len(content) - 1, 0))
        if kind == "number":
            numbers = [*re.finditer(rb"-?\d+(\.\d+)?", content)]
            if numbers:
                found = numbers[int(share * (len(numbers) - 1))]
                content[found.start() : found.end()] = piece
        elif kind == "insert" or not content:
            content[place:place] = piece
        elif kind == "flip":
            content[place] ^= 1 << value % 8
        elif kind == "set":
            content[place] = value
        elif kind == "cut":
            del content[place : place + 1 + value % 40]
        else:
            content[place:place] = content[place : place + 1 + value % 60]
    return bytes(content[: int(keep * len(content))])


def endures(read, *arguments):
    """Read; what else than a result or a plain error comes of it fails the test, and so does a long wait."""
    start = time.monotonic()
    try:
        read(*arguments)
    except (BadInputError, UnreadableImageError) as error:
        assert str(error)
    assert time.monotonic() - start < PATIENCE


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


NOISE = Image.effect_noise((32, 24), 60)
COLOUR = Image.merge("RGB", [NOISE, NOISE.rotate(90).resize(NOISE.size), NOISE])
IMAGES = {
    "png": encoded(COLOUR, "PNG"),
    "palette": encoded(COLOUR.quantize(9), "PNG"),
    "16 bits": encoded(Image.fromarray(np.arange(768, dtype=np.uint16).reshape(24, 32)), "PNG"),
    "jpeg": encoded(COLOUR, "JPEG"),
    "cmyk": encoded(COLOUR.convert("CMYK"), "JPEG"),
    "tiff": encoded(COLOUR, "TIFF"),
    "lzw": encoded(COLOUR, "TIFF", compression="tiff_lzw"),
    "bmp": encoded(COLOUR, "BMP"),
    "webp": encoded(COLOUR.convert("RGBA"), "WEBP", lossless=True),
    "gif": encoded(COLOUR, "GIF"),
}
DICOM = ("MR_small.dcm", "SC_rgb_rle.dcm", "SC_rgb_small_odd_jpeg.dcm", "image_dfl.dcm", "MR_small_jp2klossless.dcm")
IMAGES |= {name: Path(get_testdata_file(name, download=False)).read_bytes() for name in DICOM}


@pytest.mark.parametrize("name", IMAGES)
@few
@given(done=changes())
def test_images(name, done):
    endures(open_image, mutated(IMAGES[name], done))


def archive(compressed):
    made = {}
    for name in ("train", "test"):
        made[f"{name}_images"] = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
        made[f"{name}_labels"] = np.array([[0], [1], [0], [1]], dtype=np.uint8)
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **made)
    return stream.getvalue()


def read_pixels(path):
    images = read_archive(path).images
    images.pixels((4, 4), 3, 0, len(images))


@pytest.mark.parametrize("compressed", [False, True])
@few
@given(done=changes())
def test_archives(tmp_path, compressed, done):
    (tmp_path / "a.npz").write_bytes(mutated(archive(compressed), done))
    endures(read_pixels, tmp_path / "a.npz")


TABLE = b"path,label,group,subgroup_site,split\r\n" + b"".join(
    f"{n}.png,{'ab'[n % 2]},p{n},s{n % 3},{('test', 'train')[n > 3]}\r\n".encode() for n in range(6)
)


@few
@given(done=changes())
def test_tables_of_images(tmp_path, done):
    for number in range(6):
        Image.new("L", (4, 4), number).save(tmp_path / f"{number}.png")
    (tmp_path / "list.csv").write_bytes(mutated(TABLE, done))
    endures(read_manifest, tmp_path / "list.csv")


POLICY = b"""name = "demo"
required_checks = ["repeatable"]
[[criteria]]
name = "a"
figure = "accuracy"
epsilon = "2/255"
at_least = 0.5
[[criteria]]
name = "b"
figure = "sensitivity.x"
attack = "none"
at_most = 0.5
[[waivers]]
criterion = "a"
owner = "me"
reason = "no"
expires = 2030-01-01
"""


@few
@given(done=changes())
def test_policies(tmp_path, done):
    (tmp_path / "policy.toml").write_bytes(mutated(POLICY, done))
    endures(read_policy, tmp_path / "policy.toml")


@pytest.mark.parametrize("value", [b"9" * 5000, b"[" * 3000, b'"1/0"', b'"1/x"', b"nan", b"inf", b"-0.0", b"'\\ud800'"])
def test_values_that_break_readers_of_toml(tmp_path, value):
    (tmp_path / "policy.toml").write_bytes(POLICY.replace(b'"2/255"', value))
    endures(read_policy, tmp_path / "policy.toml")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_bounds_that_are_no_numbers_are_refused(tmp_path, value):
    (tmp_path / "policy.toml").write_bytes(POLICY.replace(b"at_least = 0.5", f"at_least = {value}".encode()))
    with pytest.raises(BadInputError, match="at_least"):
        read_policy(tmp_path / "policy.toml")


CONFIG = b"""[run]
eps = "1/255,2/255"
attack = ["fgsm", "pgd"]
seed = 3
follow-links = true
classes = ["a", "b"]
critical = "a:b"
batch_size = 7
"""


@few
@given(done=changes())
def test_configurations(tmp_path, capsys, done):
    (tmp_path / "run.toml").write_bytes(mutated(CONFIG, done))
    start = time.monotonic()
    code, out, err = medaudit(capsys, "run", "--config", tmp_path / "run.toml", "--print-config")
    assert code in (0, 2), err
    assert all(c.isprintable() or c == "\n" for c in out + err)
    assert time.monotonic() - start < PATIENCE


@few
@given(done=changes())
def test_training_records(trained, tmp_path, done):
    sidecar_path(tmp_path / "m.h5").write_bytes(mutated(sidecar_path(trained.model).read_bytes(), done))
    endures(read_sidecar, tmp_path / "m.h5")


@pytest.mark.parametrize("change", [{"preprocessing": "other"}, {"classes": ["red", "red"]}])
def test_a_training_record_that_cannot_be_right_is_a_plain_error(trained, tmp_path, change):
    record = json.loads(sidecar_path(trained.model).read_text()) | change
    sidecar_path(tmp_path / "m.h5").write_text(json.dumps(record))
    with pytest.raises(BadInputError, match="training record"):
        read_sidecar(tmp_path / "m.h5")


@few
@given(done=changes())
def test_records(audited, tmp_path, done):
    (tmp_path / FILE_NAME).write_bytes(mutated((audited.folder / FILE_NAME).read_bytes(), done))
    endures(read_record, tmp_path)


@few
@given(done=changes())
def test_comparisons(later, tmp_path, done):
    (tmp_path / COMPARISON).write_bytes(mutated((later.folder / COMPARISON).read_bytes(), done))
    endures(read_comparison, tmp_path)


@few
@given(done=changes())
def test_predictions(audited, tmp_path, done):
    content = (audited.folder / "predictions.csv").read_bytes()
    (tmp_path / "predictions.csv").write_bytes(mutated(content, done))
    endures(read_predictions, tmp_path / "predictions.csv", audited.record.model.classes)


@few
@given(done=changes())
def test_journals(tmp_path, done):
    header = Header(
        id="a", started="b", model="m", data="d", settings=AuditSettings(), batch_size=3, key={"the model": "1"}
    )
    journal = Journal.begin(tmp_path, header, CELLS)
    journal.write(7, part())
    batch, head = tmp_path / "journal" / "000007.npz", tmp_path / "journal" / "audit.json"
    batch.write_bytes(mutated(batch.read_bytes(), done))
    head.write_bytes(mutated(head.read_bytes(), done))
    endures(journal.read, 7, LABELS)
    endures(read_header, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["model"].update(classes=["a", "b"]),
        lambda record: record["clean"].update(flips={}),
        lambda record: record["model"].update(classes=[]),
        lambda record: record["attacks"][0].update(parameters={}, sensitivity={}),
        lambda record: record["environment"].update(packages={}),
    ],
)
def test_a_record_that_contradicts_itself_is_a_plain_error(audited, tmp_path, change):
    record = json.loads((audited.folder / FILE_NAME).read_text())
    change(record)
    (tmp_path / FILE_NAME).write_text(json.dumps(record))
    (tmp_path / "examples").symlink_to(audited.folder / "examples")
    endures(render, tmp_path)


#: In a process of its own, whose memory is limited: what asks for more than that is refused, or fails the test.
LIMITED = """
import resource, sys, warnings
sys.path.insert(0, sys.argv[1])
import random
from test_hostile import IMAGES, archive, mutated, read_pixels
from auditor import BadInputError
from auditor.data.images import open_image
from auditor.data.pixels import UnreadableImageError
from pathlib import Path
limit = 2 * 2**30 + int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
kinds = ["flip", "set", "cut", "insert", "double"]
file = Path(sys.argv[2]) / "a.npz"
files = IMAGES | {"stored": archive(False), "compressed": archive(True)}
for number in range(1500):
    chance = random.Random(number)
    name = chance.choice(sorted(files))
    steps = [
        (chance.choice(kinds), chance.random() * chance.choice([0.1, 1]), chance.randrange(256), chance.randbytes(4))
        for _ in range(chance.randint(1, 5))
    ]
    content = mutated(files[name], (steps, 1.0))
    try:
        if name in ("stored", "compressed"):
            file.write_bytes(content)
            read_pixels(file)
        else:
            open_image(content)
    except (BadInputError, UnreadableImageError) as error:
        assert "memory than" not in str(error), (name, number)
        assert "MemoryError" not in str(error), (name, number)
print("done")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set as Linux does")
def test_memory_is_bounded(tmp_path):
    command = [sys.executable, "-c", LIMITED, str(Path(__file__).parent), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.stdout == "done\n", ended.stderr[-2000:]
