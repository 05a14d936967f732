import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from auditor.report import markdown

#: Pieces that mean something to somebody, between which characters of any kind stand.
PIECES = [
    *"\\`*_{}[]()<>#+-.!|~$&^=:/@\"' \n\ta1", "www.a.com", "https://", "&lt;", "&#64;", "1. ", "- ", "GH-1", "<!--",
    "-->", "```", "mailto:", "a@b.co", ":tada:", "{+x+}", "/close",
]  # fmt: skip
hostile = st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"]), max_size=10).map("".join)

#: As GitHub reads it: raw HTML and bare addresses count.
reader = MarkdownIt("gfm-like", {"html": True})


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
