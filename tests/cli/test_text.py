import pytest

from auditor.cli.text import inert


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain ümlaut 皮", "plain ümlaut 皮"), ("a\x1b[31mb", "a\\x1b[31mb"), ("a\nb", "a\\nb"), ("\u202ea", "\\u202ea")],
)
def test_no_control_character_is_left(text, shown):
    assert inert(text) == shown
