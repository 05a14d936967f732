"""Make the bundled example again: draw synthetic images, train a small VGG-19 on them, keep the held-out images.

usage: python examples/demo/make_demo.py [FOLDER]

The images are drawn by this script in the likeness of dermoscopy. They show nobody's skin and teach nothing
about it. The two classes differ as the textbook says lesions do (asymmetry, border, colour), but their
ranges overlap, so that no model can tell all of them apart.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from auditor import TrainingSettings, train

SIZE = 96
CLASSES = ("synthetic-benign", "synthetic-malignant")
TRAINING, HELD_OUT = 500, 60  # images of each class

SETTINGS = TrainingSettings(
    image_size=64, width=0.125, weights="random", train_base=True, learning_rate=5e-4, epochs=24, seed=7
)


def draw(generator: np.random.Generator, malignant: bool) -> Image.Image:
    """Draw one lesion on skin, 96 x 96 pixels."""
    severity = np.clip(generator.normal(0.68 if malignant else 0.32, 0.11), 0, 1)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE - 0.5
    x, y = x - generator.normal(0, 0.04), y - generator.normal(0, 0.04)
    angle = np.arctan2(y, x)
    radius = 0.2 + 0.08 * generator.random()
    border = np.full_like(angle, radius)
    for waves in range(1, 8):
        strength = (0.02 + 0.22 * severity) * radius / waves**0.6
        border += strength * generator.normal() * np.cos(waves * angle + generator.uniform(0, 2 * np.pi))
    softness = 0.022 - 0.012 * severity
    inside = 1 / (1 + np.exp((np.hypot(x, y) - np.maximum(border, 0.05)) / softness))

    skin = np.array([0.86, 0.68, 0.58]) * generator.uniform(0.85, 1.08) + generator.normal(0, 0.015, 3)
    brown = np.array([0.50, 0.31, 0.21]) * generator.uniform(0.8, 1.25)
    image = skin + 0.035 * _texture(generator, 6)[..., None] + 0.02 * _texture(generator, 1)[..., None]
    lesion = brown + 0.06 * _texture(generator, 3)[..., None] * np.array([1.0, 0.8, 0.6])
    for colour in ((0.16, 0.11, 0.12), (0.40, 0.44, 0.54), (0.62, 0.28, 0.24)):
        patch = 1 / (1 + np.exp(-(_texture(generator, 7) - 1.5 + 1.4 * severity) / 0.25))
        lesion = lesion + 0.85 * severity * patch[..., None] * (np.array(colour) - lesion)
    image = image + inside[..., None] * (lesion - image)
    for _ in range(generator.poisson(1.5)):
        image = _hair(image, generator)
    image *= (1 - 0.35 * np.clip(np.hypot(x, y) - 0.35, 0, None))[..., None]
    image += generator.normal(0, 0.012, image.shape)
    return Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8))


def _texture(generator: np.random.Generator, scale: float) -> np.ndarray:
    """Smooth noise of mean 0 and variance 1."""
    noise = gaussian_filter(generator.normal(size=(SIZE, SIZE)), scale)
    return (noise - noise.mean()) / noise.std()


def _hair(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    along = np.linspace(0, 1, 400)
    start, end, bend = generator.uniform(0, SIZE - 1, (3, 2))
    path = (1 - along)[:, None] ** 2 * start + 2 * (along * (1 - along))[:, None] * bend + along[:, None] ** 2 * end
    mask = np.zeros((SIZE, SIZE))
    mask[tuple(path.round().astype(int).T)] = 1
    return image * (1 - 0.55 * np.clip(gaussian_filter(mask, 0.6) * 2, 0, 1))[..., None]


def draw_all(folder: Path, count: int, seed: int) -> None:
    """Draw `count` images of each class into class folders."""
    for malignant, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            generator = np.random.default_rng([seed, malignant, number])
            picture = draw(generator, bool(malignant))
            picture.save(folder / name / f"{name}-{number:03d}.jpg", quality=88, comment="synthetic, no person's skin")


def main() -> None:
    """Draw, train, and put model and held-out images into the folder of the example."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        draw_all(folder / "train", TRAINING, seed=1)
        draw_all(folder / "test", HELD_OUT, seed=2)
        result = train(folder, folder / "model.h5", SETTINGS)
        print(f"held-out accuracy {result.sidecar.test.accuracy.value:.1%}")
        target.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target / "data", ignore_errors=True)
        shutil.copytree(folder / "test", target / "data")
        for name in ("model.h5", "model.medaudit.json"):
            shutil.copy(folder / name, target / name)


if __name__ == "__main__":
    main()
