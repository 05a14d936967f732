import pytest
from conftest import medaudit

from auditor.sidecar import read_sidecar

QUICK = [
    "--weights",
    "random",
    "--width",
    "0.05",
    "--image-size",
    "32",
    "--epochs",
    "2",
    "--rotated-copies",
    "1",
]


def test_train_writes_model_record_and_report(capsys, data, tmp_path):
    code, out, err = medaudit(
        capsys,
        "train",
        data,
        "-o",
        tmp_path / "m.keras",
        *QUICK,
        "--dense",
        "8,4",
        "--seed",
        "3",
        "--per-class",
        "20",
    )
    assert code == 0, err
    assert {path.name for path in tmp_path.iterdir()} == {
        "m.keras", "m.medaudit.json", "m.training.html", "m.training.pdf",
    }  # fmt: skip
    assert "held-out images" in out
    sidecar = read_sidecar(tmp_path / "m.keras")
    assert sidecar.settings.dense == (8, 4)
    assert (sidecar.settings.seed, sidecar.settings.per_class) == (3, 20)
    assert (len(sidecar.split.train), len(sidecar.split.test)) == (28, 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "--epochs"),
        (["--image-size", "16"], "--image-size"),
        (["--dense", "8,x"], "--dense"),
        (["--weights", "absent.h5"], "absent.h5 does not exist"),
        (["--preprocessing", "magic"], "--preprocessing"),
        (["--per-class", "500"], "fewer than the 500"),
    ],
)
def test_bad_usage_is_a_plain_error(capsys, data, tmp_path, arguments, message):
    code, _, err = medaudit(capsys, "train", data, "-o", tmp_path / "m.h5", *QUICK, *arguments)
    assert code == 2, err
    assert message in err
    assert "Traceback" not in err
    assert not any(tmp_path.iterdir())


def test_a_model_needs_a_known_ending(capsys, data, tmp_path):
    code, _, err = medaudit(capsys, "train", data, "-o", tmp_path / "m.bin", *QUICK)
    assert code == 2, err
    assert "must end in .h5 or .keras" in err
