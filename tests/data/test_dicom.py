"""DICOM files: those that pydicom ships, and such as are made here."""

import csv
import io
import logging
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from conftest import draw, draw_folder, medaudit
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, apply_windowing, pixel_array
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from auditor import BadInputError
from auditor.data import dicom
from auditor.data.folder import read_folder
from auditor.data.images import open_image
from auditor.data.manifest import read_manifest
from auditor.data.pixels import UnreadableImageError
from auditor.models.backend import keras
from auditor.record import read_record

#: Stands wherever a file can hold a patient's data, and may stand nowhere else.
SECRET = "ZQX-SECRET"  # noqa: S105 - no password

ENTRIES = {"PatientName": f"{SECRET}^Ann", "PatientID": SECRET, "PatientComments": SECRET, "AccessionNumber": SECRET}


def made(pixels, photometric="MONOCHROME2", bits=None, syntax=ExplicitVRLittleEndian, **attributes):
    """Bytes of a DICOM file with these stored values."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = pixels.itemsize * 8
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.astype(pixels.dtype.newbyteorder("<" if syntax.is_little_endian else ">")).tobytes()
    data["PixelData"].VR = "OW" if data.BitsAllocated == 16 else "OB"
    for name, value in (ENTRIES | attributes).items():
        setattr(data, name, value)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def shown(content):
    image, done = open_image(content)
    return np.asarray(image), done


def scaled(values, low, high):
    return ((np.asarray(values, float) - low) / (high - low) * 255).clip(0, 255)


RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)


def test_a_window_shows_what_pydicom_computes():
    content = made(RAMP, bits=12, RescaleSlope=2, RescaleIntercept=-1024, WindowCenter=[40, 9], WindowWidth=[400, 9])
    found, done = shown(content)
    data = pydicom.dcmread(io.BytesIO(content))
    reference = apply_windowing(apply_modality_lut(data.pixel_array, data), data)
    assert np.abs(found - scaled(reference, -1024, 4095 * 2 - 1024)).max() <= 0.5 + 1e-6
    assert done == ("DICOM window applied",)
    assert 0 < found[(found > 0) & (found < 255)].size < found.size


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_every_function_of_a_window(function):
    content = made(RAMP, bits=12, WindowCenter=2000, WindowWidth=1000, VOILUTFunction=function)
    data = pydicom.dcmread(io.BytesIO(content))
    reference = apply_windowing(data.pixel_array, data)
    assert np.abs(shown(content)[0] - scaled(reference, 0, 4095)).max() <= 0.5 + 1e-6


def test_monochrome1_is_inverted():
    bright = shown(made(RAMP, bits=12, WindowCenter=2000, WindowWidth=1000))[0]
    dark, done = shown(made(RAMP, "MONOCHROME1", 12, WindowCenter=2000, WindowWidth=1000))
    assert np.abs(bright.astype(int) + dark - 255).max() <= 1
    assert done == ("DICOM window applied", "DICOM MONOCHROME1 inverted")


def test_without_a_window_the_whole_range_is_shown_and_that_is_said():
    found, done = shown(made(RAMP, bits=12))
    assert np.abs(found - scaled(RAMP, 0, 4095)).max() <= 0.5 + 1e-6
    assert "without a window" in done[0]
    signed = np.array([[-2048, -1, 0, 2047]], dtype=np.int16)
    assert shown(made(signed, bits=12))[0].tolist() == [[0, 127, 128, 255]]
    assert shown(made(signed, bits=12, RescaleSlope=-1, RescaleIntercept=0))[0].tolist() == [[255, 128, 127, 0]]


@pytest.mark.parametrize("pixels", [np.arange(256, dtype=np.uint8).reshape(16, 16), RAMP * 16, RAMP >> 2])
def test_eight_to_sixteen_bits(pixels):
    bits = {255: 8, 16 * 4080: 16, 1020: 10}[int(pixels.max())]
    assert np.abs(shown(made(pixels, bits=bits))[0] - scaled(pixels, 0, 2**bits - 1)).max() <= 0.5 + 1e-6


def test_big_endian():
    assert np.array_equal(shown(made(RAMP, bits=12, syntax=ExplicitVRBigEndian))[0], shown(made(RAMP, bits=12))[0])


def table(entries, first, bits):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", list(map(int, entries)))
    return [item]


def test_lookup_tables():
    curve = (np.linspace(0, 1, 1024) ** 2 * 4095).astype(int)
    content = made(RAMP, bits=12, VOILUTSequence=table(curve, 512, 12))
    data = pydicom.dcmread(io.BytesIO(content))
    found, done = shown(content)
    assert np.abs(found - scaled(apply_voi_lut(data.pixel_array, data), 0, 4095)).max() <= 0.5 + 1e-6
    assert done == ("DICOM VOI LUT applied",)
    content = made(RAMP, bits=12, ModalityLUTSequence=table(curve[::-1], 0, 16), WindowCenter=1000, WindowWidth=1500)
    data = pydicom.dcmread(io.BytesIO(content))
    reference = apply_windowing(apply_modality_lut(data.pixel_array, data).astype(float), data)
    assert np.abs(shown(content)[0] - scaled(reference, 0, 2**16 - 1)).max() <= 0.5 + 1e-6
    # A table of 8 bits with more than 256 entries.
    steps = np.repeat(np.arange(256), 16)
    assert np.array_equal(shown(made(RAMP, bits=12, VOILUTSequence=table(steps, 0, 8)))[0], RAMP // 16)


def test_colours():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 20, 3), dtype=np.uint8)
    assert np.array_equal(shown(made(pixels, "RGB"))[0], pixels)
    grey = pixels.copy()
    grey[..., 1:] = 128
    found, done = shown(made(grey, "YBR_FULL"))
    assert np.array_equal(found, grey[..., :1].repeat(3, axis=2))
    assert done == ("DICOM YBR shown as RGB",)
    found, done = shown(made(pixels.astype(np.uint16) * 257, "RGB"))
    assert np.array_equal(found, pixels)
    assert done == ("DICOM colour of 16 bits scaled to 8",)


SHIPPED = [
    "examples_palette.dcm", "examples_rgb_color.dcm", "examples_jpeg2k.dcm", "SC_rgb_rle_16bit.dcm",
    "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_small_odd.dcm",
]  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_colours_of_shipped_files_are_those_of_pydicom(name):
    path = get_testdata_file(name, download=False)
    data = pydicom.dcmread(path)
    reference = pixel_array(data)
    if data.PhotometricInterpretation == "PALETTE COLOR":
        reference = pydicom.pixels.apply_color_lut(reference, data)
    if reference.dtype == np.uint16:
        reference = (reference / 257).round()
    assert np.array_equal(shown(Path(path).read_bytes())[0], reference)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("examples_ybr_color.dcm", "30 frames"),
        ("SC_rgb_rle_2frame.dcm", "2 frames"),
        ("MR_small_jpeg_ls_lossless.dcm", "JPEG-LS Lossless Image Compression.*no decoder"),
        ("JPEG-lossy.dcm", r"JPEG Extended \(Process 2 and 4\).*could not be decoded"),
        ("MR_truncated.dcm", "damaged"),
        ("liver_1frame.dcm", "1 bits"),
        ("rtdose_1frame.dcm", "32 bits"),
        ("DICOMDIR", "no image"),
        ("test-SR.dcm", "no image"),
    ],
)
def test_what_cannot_be_shown_has_a_plain_reason(name, reason):
    path = Path(get_testdata_file(name, download=False) or "")
    with pytest.raises(UnreadableImageError, match=reason):
        open_image(path.read_bytes())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (made(RAMP, bits=12, NumberOfFrames=2), "2 frames"),
        (made(RAMP, bits=12, BurnedInAnnotation="YES"), "burned into"),
        (made(RAMP, "XYZ", 12), "PhotometricInterpretation"),
        (made(RAMP, bits=12, WindowCenter=1, WindowWidth=-4), "no width"),
        (made(RAMP, bits=12, RescaleSlope=0, RescaleIntercept=0), "no picture"),
        (made(RAMP, bits=12, Rows=65535, Columns=65535), "more than 100 million"),
        (made(RAMP, bits=12, Rows=17), "damaged"),
        (made(RAMP, bits=12, VOILUTSequence=table([1, 2], 0, 4)), "lookup table"),
        (made(RAMP, "PALETTE COLOR", 12), "palette"),
    ],
)
def test_what_is_not_as_it_should_be_has_a_plain_reason(content, reason):
    with pytest.raises(UnreadableImageError, match=reason) as caught:
        open_image(content)
    assert SECRET not in str(caught.value)


def test_a_deflated_file_is_read_and_a_bomb_refused(monkeypatch):
    path = Path(get_testdata_file("image_dfl.dcm", download=False))
    assert shown(path.read_bytes())[0].shape == (512, 512)
    monkeypatch.setattr(dicom, "MOST_INFLATED", 2**16)
    with pytest.raises(UnreadableImageError, match="inflates"):
        open_image(path.read_bytes())


def test_a_deflated_bomb_takes_no_memory():
    head = Path(get_testdata_file("image_dfl.dcm", download=False)).read_bytes()
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = head.index(b"1.2.840.10008.1.2.1.99")
    meta = pydicom.filereader.read_file_meta_info(get_testdata_file("image_dfl.dcm", download=False))
    assert start < 132 + 12 + meta.FileMetaInformationGroupLength
    bomb = head[: 132 + 12 + meta.FileMetaInformationGroupLength]
    bomb += b"".join(packer.compress(bytes(2**24)) for _ in range(64)) + packer.flush()
    with pytest.raises(UnreadableImageError, match="inflates to more than 256 MB"):
        open_image(bomb)


# --- privacy -----------------------------------------------------------------------------------------------------


def test_names_and_tags_stay_out_of_ids_and_reasons(tmp_path, tmp_path_factory):
    for label, name in enumerate(("ct", "mr")):
        folder = tmp_path / name / f"{SECRET}_folder"
        folder.mkdir(parents=True)
        for number in range(2):
            (folder / f"{SECRET}.{number}").write_bytes(made(RAMP + np.uint16(label * 2 + number), bits=16))
        (folder / f"{SECRET}.copy").write_bytes(made(RAMP + np.uint16(label * 2), bits=16))
        (folder / f"{SECRET}_movie.dcm").write_bytes(made(RAMP, NumberOfFrames=3))
        (folder / f"{SECRET}_cut.dcm").write_bytes(made(RAMP)[:200])
        (folder / f"{SECRET}_text.dcm").write_text("no DICOM at all")
        (folder / f"{SECRET}_absent.dcm").symlink_to("nowhere")
        (folder / f"{SECRET}_away.dcm").symlink_to(tmp_path_factory.getbasetemp())
        draw(label, 5).save(folder / f"{SECRET}_picture.dcm", "PNG")
    (tmp_path / f"{SECRET}_beside.dcm").write_bytes(made(RAMP))
    found = read_folder(tmp_path)
    assert len(found) == 8
    assert len(found.duplicates) == 2
    assert len({image.id for image in found.images}) == 8
    assert SECRET not in str([(image.id, image.conversions) for image in found.images])
    assert SECRET not in str(found.skipped)
    assert len(found.skipped) == 11
    assert all(image.id.startswith(("ct/", "mr/")) and image.id.endswith(".dcm") for image in found.images)
    assert read_folder(tmp_path).manifest_sha256 == found.manifest_sha256


#: Attributes with values that pydicom complains of, and would quote.
BROKEN = (
    b"\x28\x00\x50\x10DS\x0a\x00ZQX-SECRET", b"\x28\x00\x53\x10DS\x0a\x00ZQX-SECRET",
    b"\x28\x00\x08\x00IS\x0a\x00ZQX-SECRET", b"\x10\x00\x30\x00DA\x0a\x00ZQX-SECRET",
)  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_what_pydicom_has_to_say_of_values_is_heard_nowhere(broken, caplog, capfd, recwarn):
    content = made(RAMP, bits=12)
    place = content.index(b"\x28\x00\x02\x00US")
    content = content[:place] + broken + content[place:]
    with caplog.at_level(logging.DEBUG):
        try:
            open_image(content)
        except UnreadableImageError as error:
            assert SECRET not in str(error)
            assert error.__suppress_context__
    captured = capfd.readouterr()
    assert SECRET not in captured.out + captured.err + caplog.text + str([str(found.message) for found in recwarn])


def test_without_pydicom_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    draw_folder(tmp_path, 2)
    (tmp_path / "red" / "x").write_bytes(made(RAMP))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(BadInputError, match=r"medaudit\[dicom\]"):
        read_folder(tmp_path)


def test_pydicom_is_only_imported_for_dicom():
    code = "import sys, auditor.data.split, auditor.cli.main; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- a real series -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Slices of CT and MR of real examinations that pydicom ships, by kind."""
    folder = tmp_path_factory.mktemp("series") / "data"
    home = Path(get_testdata_file("DICOMDIR", download=False)).parent
    names = set()
    for path in sorted(home.rglob("*")):
        if path.is_file() and path.name.isdecimal():
            data = pydicom.dcmread(path)
            names |= {str(data.PatientName), str(data.PatientID), str(data.get("StudyInstanceUID"))}
            target = folder / data.Modality.lower() / f"{data.PatientID}_{data.PatientName}_{path.name}"
            if data.Modality in ("CT", "MR"):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    return folder, {part for name in names for part in (name, *name.split("^")) if len(part) > 3}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """An untrained model of 16 x 16 pixels in greyscale."""
    k = keras()
    k.utils.set_random_seed(3)
    model = k.Sequential([k.Input((16, 16, 1)), k.layers.Flatten(), k.layers.Dense(2, activation="softmax")])
    path = tmp_path_factory.mktemp("tiny") / "tiny.keras"
    model.save(path)
    return path


def test_a_real_series_is_audited_and_no_patient_is_named(series, tiny, tmp_path, capsys):
    folder, names = series
    assert len(names) > 3
    code, out, err = medaudit(
        capsys, "run", tiny, folder, "-o", tmp_path / "audit", "--preprocessing=unit", "--suite=quick", "--eps=2/255"
    )
    assert code in (0, 3), err
    record = read_record(tmp_path / "audit")
    assert record.data.per_class == {"ct": 11, "mr": 17}
    assert record.data.conversions == {"DICOM window applied": 28}
    written = [path for path in (tmp_path / "audit").rglob("*") if path.is_file()]
    assert {"report.html", "results.json", "predictions.csv"} <= {path.name for path in written}
    everything = (
        out
        + err
        + "".join(path.read_text() for path in written if path.suffix in (".html", ".json", ".csv", ".md", ".xml"))
    )
    assert "DICOM window applied" in everything
    for name in names:
        assert name not in everything, name
    assert str(folder) not in everything
    assert str(tmp_path) not in everything.removeprefix(out + err)


def test_a_real_series_by_a_table(series):
    folder, names = series
    path = folder / "list.csv"
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "label", "group"])
        for number, file in enumerate(sorted(folder.rglob("*_*"))):
            rows.writerow([file.relative_to(folder).as_posix(), file.parent.name, f"p{number // 3}"])
    found = read_manifest(path).images
    path.unlink()
    assert (len(found), len(found.skipped), len(set(found.groups))) == (28, 0, 10)
    for name in names:
        assert name not in str([image.id for image in found.images])
    assert all(len(image.id) == 20 for image in found.images)
