import csv
import json
import shlex
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import draw_folder

from auditor import AuditSettings, BadInputError, audit, read_record
from auditor.record import AuditRecord


def test_the_record_keeps_the_contract(audited):
    written = json.loads((audited.folder / "results.json").read_text())
    assert written["schema_version"] == 1
    assert written["verdict"] == {
        "status": "NONE",
        "reasons": ["No acceptance criteria were set before this audit."],
        "criteria": [],
    }
    promised = {
        "audit": {"id", "status", "started", "finished", "tool_version", "command", "seed", "config"},
        "model": {"path", "sha256", "name", "format", "input_shape", "parameters", "classes", "head", "preprocessing"},
        "data": {"path", "split", "manifest_sha256", "images", "per_class", "groups", "skipped", "train_overlap"},
        "clean": {
            "accuracy", "confusion_matrix", "classification_report",
            "sensitivity", "specificity", "auroc", "calibration",
        },
        "environment": {"python", "packages", "platform", "cpu", "gpu", "precision"},
    }  # fmt: skip
    for part, keys in promised.items():
        assert keys <= set(written[part]), part
    for attack in written["attacks"]:
        assert {
            "name", "norm", "epsilon", "epsilon_255", "knowledge", "parameters", "images", "accuracy", "accuracy_drop",
            "success_rate", "confusion_matrix", "classification_report", "flips", "perceptibility", "eight_bit",
        } <= set(attack)  # fmt: skip
        assert set(attack["perceptibility"]) >= {"linf", "l2", "psnr", "ssim"}
    assert all({"epsilon", "accuracy", "attacks"} <= set(worst) for worst in written["worst_case"])
    assert all({"name", "status", "figure", "threshold", "reason", "images"} <= set(c) for c in written["checks"])
    assert written["worst_case"]
    assert written["checks"]
    assert read_record(audited.folder) == audited.record


def test_every_figure_follows_from_the_predictions(audited):
    record = audited.record
    with (audited.folder / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == record.data.images * (1 + len(record.attacks))
    clean = {row["id"]: row for row in rows if not row["attack"]}

    def matrix(of):
        classes = record.model.classes
        counted = [[0] * len(classes) for _ in classes]
        for row in of:
            counted[classes.index(row["label"])][classes.index(row["predicted"])] += 1
        return counted

    assert matrix(clean.values()) == record.clean.confusion_matrix
    for attack in record.attacks:
        of = [row for row in rows if row["attack"] == attack.name and float(row["epsilon"]) == attack.epsilon]
        assert matrix(of) == attack.confusion_matrix
        right = sum(row["label"] == row["predicted"] for row in of)
        assert right == attack.accuracy.count
        flipped = [
            row for row in of if clean[row["id"]]["predicted"] == row["label"] and row["predicted"] != row["label"]
        ]
        assert (len(flipped), record.clean.accuracy.count) == (
            attack.success_rate.count,
            attack.success_rate.of,
        )
        assert attack.accuracy_drop.value == pytest.approx(record.clean.accuracy.value - attack.accuracy.value)
        assert max(float(row["linf"]) for row in of) == attack.perceptibility.linf.high <= attack.epsilon + 1e-6


def test_the_recorded_split_is_used(audited, trained):
    assert audited.record.data.split == "recorded split"
    assert audited.record.data.images == len(trained.sidecar.split.test)
    assert audited.record.data.train_overlap == 0
    assert audited.record.data.left_out == len(trained.sidecar.split.train)
    assert audited.record.clean.confusion_matrix == trained.sidecar.test.confusion_matrix


def test_the_attack_hurts(audited):
    assert audited.record.attacks[-1].accuracy.value < audited.record.clean.accuracy.value


def test_no_absolute_path_enters_the_record(audited, data):
    assert str(data) not in (audited.folder / "results.json").read_text()


def test_preprocessing_that_is_given_is_used(trained, data, tmp_path):
    (tmp_path / "bare.h5").write_bytes(trained.model.read_bytes())
    settings = AuditSettings(epsilons=(0.01,), preprocessing="unit")
    given = audit(tmp_path / "bare.h5", data, tmp_path / "given", settings).record
    assert given.model.preprocessing.how_chosen == "given by the user"
    assert given.data.train_overlap is None
    assert "not checked" in (tmp_path / "given" / "report.html").read_text()


def ensemble(folder, sharpness):
    image = keras.Input((8, 8, 3))
    flat = keras.layers.Rescaling(sharpness)(keras.layers.Flatten()(image))
    dense = keras.layers.Dense(2, activation="softmax")
    # Of the same layer twice: two that saturate apart would not be saturated in the mean.
    keras.Model(image, keras.layers.Average()([dense(flat), dense(flat)])).save(folder / "ensemble.keras")
    draw_folder(folder / "data", 4)
    settings = AuditSettings(epsilons=(16 / 255,), preprocessing="unit")
    return audit(folder / "ensemble.keras", folder / "data", folder / "audit", settings)


def test_a_model_that_hides_its_softmax_is_attacked_on_the_logarithm(tmp_path):
    record = ensemble(tmp_path, 1).record
    assert record.model.head == "softmax"
    assert "computed back from the probabilities" in record.model.head_words
    assert record.attacks[0].perceptibility.changed == 8


def test_a_model_that_hides_a_saturated_softmax_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="answers with probabilities"):
        ensemble(tmp_path, 1e4)
    assert not (tmp_path / "audit").exists()


def test_the_command_reads_back_as_the_same_options(trained):
    from auditor.attacks import ATTACKS
    from auditor.auditing import _command
    from auditor.cli.run import command
    from auditor.engine.plan import Plan

    settings = AuditSettings(
        epsilons=(0.5 / 255, 1 / 3, 0.0123456789012345),
        classes=("a b", "c,d", 'e"f', "-g"),
        critical=("a b", "c,d"),
        preprocessing="mean=0.485,0.456,0.406:std=0.229,0.224,0.225",
        head="sigmoid",
        allow_unsafe=("0" * 64, "f" * 64),
        batch_size=3,
        seed=7,
        precision="float32",
    )
    plan = Plan((ATTACKS["fgsm"],), settings.epsilons, 3, seed=7)
    words = shlex.split(_command("-m.h5", "my data", settings, plan))
    read = command.make_context("run", words[2:]).params
    assert (read["model"], read["data"]) == (Path("-m.h5"), Path("my data"))
    assert read["eps"] == settings.epsilons
    for name in ("classes", "critical", "preprocessing", "head", "allow_unsafe", "batch_size", "seed", "precision"):
        assert read[name] == getattr(settings, name), name


def test_a_record_of_a_later_version_may_hold_more(audited, tmp_path):
    written = json.loads((audited.folder / "results.json").read_text())
    written["audit"]["config"]["new_option"] = 1
    written["new_part"] = {}
    (tmp_path / "results.json").write_text(json.dumps(written))
    assert read_record(tmp_path) == audited.record


@pytest.mark.parametrize("given", [{"classes": ("a", "a")}, {"attacks": ("fgsm", "fgsm")}, {"unknown": 1}])
def test_senseless_options_are_refused(given):
    with pytest.raises(ValueError, match=r"given twice|not permitted"):
        AuditSettings(**given)


def test_many_classes_and_one_image_of_each(tmp_path):
    names = tuple(f"class-{k:02d}" for k in range(12))
    draw_folder(tmp_path / "data", 1, names)
    image = keras.Input((8, 8, 1))
    keras.Model(image, keras.layers.Dense(12)(keras.layers.Flatten()(image))).save(tmp_path / "m.keras")
    settings = AuditSettings(epsilons=(0.01,), preprocessing="unit")
    result = audit(tmp_path / "m.keras", tmp_path / "data", tmp_path / "a", settings)
    assert len(result.record.clean.flips) == 12 * 11
    assert len(result.record.examples) <= 8
    assert "Directions that never occurred are left out" in result.reports.html.read_text()


def threshold_model(mean):
    """A grey model that calls an image bright above `mean`, in the units it expects."""
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    model.layers[-1].set_weights([np.array([[-1.0, 1.0]]), np.array([mean, -mean])])
    return model


def test_a_clear_winner_is_chosen_and_shown(tmp_path):
    from PIL import Image

    for label, name in enumerate(("dark", "light")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(40):
            grey = 90 + 80 * label + number // 4
            Image.new("L", (8, 8), grey).save(tmp_path / "data" / name / f"{number}.png")
    threshold_model(150.0).save(tmp_path / "m.keras")
    record = audit(tmp_path / "m.keras", tmp_path / "data", tmp_path / "audit", AuditSettings(epsilons=(0.01,))).record
    chosen = record.model.preprocessing
    assert chosen.mode == "raw"
    assert chosen.scored[0].mode == "raw"
    assert len(chosen.scored) == 3
    assert record.clean.accuracy.value == 1.0
    assert "by trying it" in (tmp_path / "audit" / "report.html").read_text()


def test_own_preprocessing_gets_raw_pixels(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    model.save(tmp_path / "m.keras")
    draw_folder(tmp_path / "data", 4)
    record = audit(tmp_path / "m.keras", tmp_path / "data", tmp_path / "audit", AuditSettings(epsilons=(0.01,))).record
    assert record.model.preprocessing.mode == "raw"
    assert "scales its input itself" in record.model.preprocessing.how_chosen
    assert record.model.preprocessing.input_range == (0, 255)


def test_the_schema_describes_what_is_written():
    schema = AuditRecord.model_json_schema(mode="serialization")
    assert schema["properties"]["clean"]
    assert all("description" in field for field in schema["$defs"]["AttackResult"]["properties"].values())
