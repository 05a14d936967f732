"""What the tests share: small images drawn here, a small model trained on them, one audit of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from auditor import AuditResult, AuditSettings, TrainingSettings, TrainResult, audit, train
from auditor.attacks import ATTACKS, Arena, Attack, suite
from auditor.cli.main import main
from auditor.data.folder import read_folder
from auditor.data.pixels import unit
from auditor.models.subject import Subject, load
from auditor.policy import Criterion, Policy

# Machines differ in speed. The gate draws the same examples each time, so that it judges the change and not the draw;
# at a desk every run draws new ones.
settings.register_profile("medaudit", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("medaudit")

CLASSES = ("blue", "red")

SMALL = TrainingSettings(
    image_size=32,
    width=0.125,
    weights="random",
    epochs=12,
    batch_size=16,
    learning_rate=2e-3,
    rotated_copies=2,
)


def draw(label: int, seed: int, size: tuple[int, int] = (40, 36)) -> Image.Image:
    """Noise with a tint: blue for class 0, red for class 1, now and then hard to tell."""
    generator = np.random.default_rng([label, seed])
    pixels = generator.uniform(60, 190, (*size, 3))
    pixels[..., 2 if label == 0 else 0] += generator.normal(35, 18)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def draw_folder(folder: Path, count: int, classes: tuple[str, ...] = CLASSES, first: int = 0) -> Path:
    """Fill class folders with `count` images each."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            draw(label, first + number).save(folder / name / f"{number:03d}.png")
    return folder


def medaudit(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command in this process; returns exit code, output and errors."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 2 x 30 images."""
    return draw_folder(tmp_path_factory.mktemp("images") / "data", 30)


@pytest.fixture(scope="session")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A small VGG-19, frozen with random weights, its head trained on `data`."""
    return train(data, tmp_path_factory.mktemp("model") / "small.h5", SMALL)


@pytest.fixture(scope="session")
def subject(trained: TrainResult) -> Subject:
    """The model of `trained`, loaded to be asked and attacked."""
    return load(trained.model)


@pytest.fixture(scope="session")
def batch(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Twenty images in [0, 1] of both classes, and their labels as one-hot rows."""
    images = read_folder(data)
    return unit(images.pixels((32, 32), 3, 20, 40)), np.eye(2, dtype=np.float32)[images.labels[20:40]]


def arena(subject: Subject, images: np.ndarray, targets: np.ndarray, **more: object) -> Arena:
    """All of a batch under attack, in float32, with no critical error named."""
    everything = np.ones(len(images), dtype=bool)
    chosen = {
        "clean": subject.classifier.predict(images), "concerned": everything, "standing": everything,
        "critical": None, "coarse": False, "seed": (0,),
    } | more  # fmt: skip
    return Arena(subject, images, targets.argmax(axis=1), **chosen)


def brief(name: str) -> Attack:
    """An iterative attack with few steps: a processor without bfloat16 imitates it slowly."""

    class Brief(type(ATTACKS[name])):
        steps, restarts = 8, 2

    return Brief()


@pytest.fixture(scope="session")
def audited(trained: TrainResult, data: Path, tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    """An audit of `trained` on its recorded test images."""
    options = AuditSettings(
        epsilons=(1 / 255, 2 / 255, 16 / 255),
        critical=("red", "blue"),
        batch_size=7,
        requested_by="the board",
        responsible="A. Person, head of assurance",
    )
    return audit(trained.model, data, tmp_path_factory.mktemp("audits") / "one", options)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key and its public one, as OpenSSL makes them."""
    private, public = (tmp_path_factory.mktemp("keys") / name for name in ("private.pem", "public.pem"))
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


@pytest.fixture(scope="session")
def signed(
    trained: TrainResult, data: Path, keys: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> AuditResult:
    """An audit of `trained` with a criterion that it meets, signed."""
    policy = Policy(
        name="p", criteria=(Criterion(name="c", figure="accuracy", attack="none", at_least=0.1),),
        file="policy.toml", sha256="ab" * 32,
    )  # fmt: skip
    options = AuditSettings(epsilons=(2 / 255,), critical=("red", "blue"), policy=policy)
    return audit(trained.model, data, tmp_path_factory.mktemp("signed") / "one", options, sign=keys[0])


@pytest.fixture(scope="session")
def weaker(data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """Another version of `trained`, on the same split: one epoch is too little."""
    settings = SMALL.model_copy(update={"epochs": 1, "learning_rate": 1e-5})
    return train(data, tmp_path_factory.mktemp("weaker") / "weaker.h5", settings)


@pytest.fixture(scope="session")
def later(
    weaker: TrainResult, audited: AuditResult, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> AuditResult:
    """An audit of `weaker` with `audited` as its baseline."""
    return audit(weaker.model, data, tmp_path_factory.mktemp("audits") / "later", baseline=audited.folder)


@pytest.fixture(scope="session")
def thorough(trained: TrainResult, tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    """An audit with every attack there is, of a few images in two batches."""
    folder = tmp_path_factory.mktemp("thorough")
    options = AuditSettings(
        attacks=suite("full"),
        epsilons=(1 / 255, 2 / 255),
        critical=("red", "blue"),
        preprocessing="unit",
        batch_size=7,
    )
    return audit(trained.model, draw_folder(folder / "data", 6, first=3000), folder / "audit", options)


@pytest.fixture(scope="session")
def real() -> Path:
    """Where real images and weights lie; tests that need them are skipped where they are absent."""
    folder = Path(os.environ.get("MEDAUDIT_REAL_DATA", "../shared"))
    if not (folder / "data" / "isic-malignant-vs-benign").is_dir():
        pytest.skip(f"no real images in {folder}; name the folder with MEDAUDIT_REAL_DATA")
    return folder
