import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from auditor.record import Judged, Skipped, Verdict
from auditor.report import markdown, words

#: Pieces that mean something to somebody, between which characters of any kind stand.
PIECES = [
    *"\\`*_{}[]()<>#+-.!|~$&^=:/@\"' \n\ta1", "www.a.com", "https://", "&lt;", "&#64;", "1. ", "- ", "GH-1", "<!--",
    "-->", "```", "mailto:", "a@b.co", ":tada:", "{+x+}", "/close",
]  # fmt: skip
hostile = st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"]), max_size=10).map("".join)

#: As GitHub reads it: raw HTML and bare addresses count, but neither `a.co` nor `//a.co` is one.
reader = MarkdownIt("gfm-like", {"html": True})
reader.linkify.set({"fuzzy_link": False}).add("//", None)


def shown(text):
    """What a reader of `text` is to see, without breaks of no width."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))


def read(html):
    return unescape(html).replace("\u200b", "")


@given(hostile)
def test_escaped_text_is_text_and_nothing_else(text):
    html = reader.render(markdown.escaped(text)).strip()
    inside = html.removeprefix("<p>").removesuffix("</p>")
    assert "<" not in inside
    assert read(inside) == shown(text)


@given(hostile, hostile)
def test_escaped_text_stays_in_its_cell(first, second):
    html = reader.render(markdown.table(["a", "b"], [[markdown.escaped(first), markdown.code(second)]], numbers={1}))
    (cells,) = re.findall(r"<tbody>\s*<tr>(.*?)</tr>", html, re.DOTALL)
    left, right = re.findall(r"<td[^>]*>(.*?)</td>", cells, re.DOTALL)
    assert read(left) == shown(first)
    assert read(right) == f"<code>{shown(second)}</code>"
    assert '<td style="text-align:right">' in cells


@pytest.mark.parametrize(
    ("text", "live"),
    [
        ("@someone", r"@\w"), ("a@b.example", r"@\w"), ("fixes #12", r"#\d"), ("!34", r"!\d"), ("GH-56", r"GH-\d"),
        ("$7", r"\$\d"), ("~label", r"~\w"), ("%release", r"%\w"), ("&8", r"&\d"), ("[issue:9]", r"\[\w"),
        (":tada:", r":\w+:"), ("https://a.example", "://"), ("www.a.example", r"www\."), ("{+new+}", r"\{\+"),
    ],
)  # fmt: skip
def test_no_mention_reference_or_address_is_left_in_the_finished_text(text, live):
    """GitHub and GitLab look for these after Markdown has been read, so that no backslash keeps them."""
    assert re.search(live, text)
    finished = unescape(reader.render(markdown.escaped(text)))
    assert not re.search(live, finished)


@pytest.mark.parametrize("text", ["93.3% [80.9, 88.9]", "no gradient – 2/255", "VGG-19 (small)", "1.5 of 3"])
def test_plain_text_stays_readable(text):
    assert markdown.escaped(text).replace("\\", "") == text


@pytest.mark.parametrize("text", ["/close", "- a", "+ a", "1. a", "12) a", "# a", "> a", "===", "---", "~~~", "    a"])
def test_nothing_happens_at_the_beginning_of_a_line(text):
    finished = reader.render(f"before\n{markdown.escaped(text)}\n")
    assert finished.count("<") == 2
    assert not markdown.escaped(text).startswith(("/", "#"))


@pytest.fixture
def tables(audited, thorough):
    """What the tables of two summaries show, row by row."""

    def read_tables(record):
        rows = re.findall(r"<tr>(.*?)</tr>", reader.render(markdown.summary(record)), re.DOTALL)
        return [tuple(re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", row)) for row in rows]

    return read_tables(audited.record), read_tables(thorough.record)


def test_the_summary_begins_with_the_verdict_and_what_happened(audited):
    lines = markdown.summary(audited.record).splitlines()
    assert lines[0] == "## No verdict: adversarial robustness of small"
    assert read(reader.render(lines[2])) == f"<p>{' '.join(words.headline(audited.record))}</p>\n"
    assert "No acceptance criteria were set" in lines[4]


def test_figures_have_intervals_and_denominators(audited, thorough, tables):
    one, all_of_them = tables
    for record, rows in ((audited.record, one), (thorough.record, all_of_them)):
        clean = record.clean.accuracy
        assert ("no attack", "", words.figure(clean), words.counted(clean), "") in rows
    for attack in audited.record.attacks:
        assert (
            attack.name, words.epsilon_words(attack.epsilon), words.figure(attack.accuracy),
            words.counted(attack.accuracy), words.points(-attack.accuracy_drop.value),
        ) in one  # fmt: skip
    shown = [row[:3] for row in all_of_them]
    for worst in thorough.record.worst_case:
        assert ("worst case", words.epsilon_words(worst.epsilon), words.figure(worst.accuracy)) in shown
    assert sum(row[:1] == ("fgsm",) for row in all_of_them) == 1


def test_the_summary_names_what_was_audited(audited):
    text = reader.render(markdown.summary(audited.record))
    assert f"<code>{audited.record.model.sha256}</code>" in text
    assert f"<code>{audited.record.data.manifest_sha256}</code>" in text
    assert '<a href="report.html">' in text
    assert (audited.folder / "summary.md").read_text() == markdown.summary(audited.record)


def test_criteria_checks_and_skipped_files_are_told(audited):
    record = audited.record
    failing = record.checks[0].model_copy(update={"status": "FAIL", "title": "Is it so?", "reason": "it is not"})
    unmade = record.checks[1].model_copy(update={"status": "SKIPPED", "name": "unmade"})
    criterion = Judged(name="c", asked="at least 1", observed="0 [0, 0.1]", status="FAIL", note="")
    record = record.model_copy(
        update={
            "checks": [failing, unmade, *(c.model_copy(update={"status": "PASS"}) for c in record.checks[2:])],
            "verdict": Verdict(status="INCONCLUSIVE", reasons=["a doubt"], criteria=[criterion]),
            "data": record.data.model_copy(
                update={"skipped": [Skipped(path=f"{n}.png", reason="") for n in range(2)], "train_overlap": 3}
            ),
        }
    )
    text = read(reader.render(markdown.summary(record)))
    assert "INCONCLUSIVE" in text.splitlines()[0]
    assert "<li>a doubt</li>" in text
    cells = [f"<td>{cell}</td>" for cell in ("<strong>FAIL</strong>", "c", "at least 1", "0 [0, 0.1]", "")]
    assert "\n".join(cells) in text
    assert f"{len(record.checks) - 2} of {len(record.checks) - 1} passed. Not made: unmade." in text
    assert "<td>Is it so?</td>" in text
    assert "<td>it is not</td>" in text
    assert "2 files could not be read" in text
    assert "3 of the 18 test images are, byte for byte" in text


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", "a|b\n# c", "@team fixes #1", "[x](https://a.example)"]
)
def test_hostile_names_do_nothing_in_a_summary(audited, name):
    def named(text):
        record = audited.record
        record = record.model_copy(
            update={
                "model": record.model.model_copy(update={"name": text, "path": text, "sha256": text}),
                "data": record.data.model_copy(update={"path": text, "per_class": {text: 3}}),
                "attacks": [attack.model_copy(update={"name": text}) for attack in record.attacks],
                "checks": [check.model_copy(update={"status": "WARN", "title": text}) for check in record.checks],
            }
        )
        return reader.render(markdown.summary(record))

    assert shown(name) in read(named(name))
    assert re.findall(r"<\w+[^>]*>", named(name)) == re.findall(r"<\w+[^>]*>", named("harmless"))
    assert not re.search(r"@\w|#\d|://", unescape(named(name)))
