import pytest

from auditor.metrics.intervals import proportion
from auditor.report import words


def test_figures():
    assert words.percent(0.8533) == "85.3%"
    assert words.percent(None) == "–"
    assert words.figure(proportion(256, 300)) == "85.3% [80.9, 88.9]"
    assert words.counted(proportion(1256, 3000)) == "1,256 of 3,000"
    assert (words.points(-0.773), words.points(0.05), words.points(0.0001)) == ("−77.3", "+5.0", "0.0")
    assert words.epsilon_words(0.5 / 255) == "0.5/255"


@pytest.mark.parametrize("classes", [["a", "b"], ["a->b", "c"], ["a", "b->c", "c"], ["->", "x"]])
def test_directions_come_apart_whatever_the_names(classes):
    for true in classes:
        for predicted in classes:
            if true != predicted:
                assert words.direction_parts(f"{true}->{predicted}", classes) == (true, predicted)


def test_unknown_directions_are_refused():
    with pytest.raises(ValueError, match="names no two"):
        words.direction_parts("a->c", ["a", "b"])


def test_headline_says_what_happened(audited):
    record = audited.record
    text = " ".join(words.headline(record))
    attack = words.headline_attack(record)
    assert attack.epsilon == 2 / 255
    assert words.counted(record.clean.accuracy) in text
    assert f"{attack.accuracy.of - attack.accuracy.count} of {attack.accuracy.of} images are classified wrongly" in text
    assert "called “blue”" in text


def test_a_failed_attack_is_not_called_robust(audited):
    record = audited.record
    attack = record.attacks[1]
    still = attack.model_copy(update={"perceptibility": attack.perceptibility.model_copy(update={"unchanged": 5})})
    text = " ".join(
        words.headline(record.model_copy(update={"attacks": [record.attacks[0], still, record.attacks[2]]}))
    )
    assert "left 5 images exactly as they were" in text
    assert "no sign of robustness" in text
