import numpy as np
import pytest

from auditor import AuditSettings, BadInputError
from auditor.engine.journal import Header, Journal, read_header
from auditor.engine.outcomes import Attacked, Diagnosis, Outcomes
from auditor.metrics.perceptibility import Distances

CELLS = (("fgsm", 1 / 255), ("spatial", None))
LABELS = np.array([0, 1, 1])


def part(seed=0):
    generator = np.random.default_rng(seed)
    attacked = {
        cell: Attacked(
            generator.normal(size=(3, 2)).astype(np.float32),
            Distances(*(generator.random(3) for _ in range(2)), np.array([np.inf, 40.1, 1 / 3]), generator.random(3)),
            generator.random(3) < 0.5,
            generator.integers(0, 2, 3),
            generator.random(3) < 0.5,
            "ValueError: something" if cell[1] is None else "",
        )
        for cell in CELLS
    }
    logits = generator.normal(size=(3, 2)).astype(np.float32)
    diagnosis = Diagnosis(*(generator.random(3) < 0.5 for _ in range(3)))
    return Outcomes(LABELS, logits, attacked, diagnosis, {"clean": 0.1, "craft": 0.2, "judge": 0.3, "rest": 0.4})


@pytest.fixture
def journal(tmp_path):
    header = Header(
        id="a",
        started="b",
        model="m.h5",
        data="d",
        settings=AuditSettings(epsilons=(0.1,)),
        batch_size=3,
        key={"the model": "1"},
    )
    return Journal.begin(tmp_path, header, CELLS)


def test_a_batch_reads_back_to_the_bit(journal):
    written = part()
    journal.write(7, written)
    found = journal.read(7, LABELS)
    assert found.clean.tobytes() == written.clean.tobytes()
    assert found.seconds == written.seconds
    for name in ("vanished", "blind", "undefined"):
        assert np.array_equal(getattr(found.diagnosis, name), getattr(written.diagnosis, name))
    for cell in CELLS:
        assert found.attacked[cell].failure == written.attacked[cell].failure
        for name in ("logits", "concerned", "rounded", "outside"):
            before, after = (getattr(x.attacked[cell], name) for x in (written, found))
            assert after.tobytes() == before.tobytes()
        for name in ("linf", "l2", "psnr", "ssim"):
            before, after = (getattr(x.attacked[cell].distances, name) for x in (written, found))
            assert after.tobytes() == before.tobytes()


def test_what_is_not_there_or_of_other_images_is_none(journal):
    journal.write(0, part())
    assert journal.read(1, LABELS) is None
    assert journal.read(0, np.array([0, 0, 1])) is None


def test_every_truncation_and_many_changes_are_noticed(journal, tmp_path):
    journal.write(0, part())
    path = tmp_path / "journal" / "000000.npz"
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert journal.read(0, LABELS) is None
    for place in range(200, len(whole), 211):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        found = journal.read(0, LABELS)
        # A change outside the arrays, in the archive's padding or dates, does no harm; one inside is noticed.
        assert found is None or found.clean.tobytes() == part().clean.tobytes()


def test_the_header_reads_back(journal, tmp_path):
    assert read_header(tmp_path) == journal.header


def test_a_damaged_or_missing_header_is_a_plain_error(journal, tmp_path):
    (tmp_path / "journal" / "audit.json").write_text('{"id": ')
    with pytest.raises(BadInputError, match="damaged"):
        read_header(tmp_path)
    journal.end()
    with pytest.raises(BadInputError, match="no unfinished audit"):
        read_header(tmp_path)


def test_what_changed_is_named(journal):
    journal.check({"the model": "1"})
    with pytest.raises(BadInputError, match="since it began, the model changed"):
        journal.check({"the model": "2"})
    with pytest.raises(BadInputError, match="the processor changed"):
        journal.check({"the model": "1", "the processor": "x"})
