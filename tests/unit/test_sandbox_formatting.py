"""The sandbox reads HTML, MarkdownV2 and plain text as Telegram does."""

import pytest

from sandbox.errors import ApiError
from sandbox.formatting import bot_text, user_text


def parts(rich):
    """Each entity as (type, the text it covers), offsets read as UTF-16 like a client does."""
    units = rich.text.encode("utf-16-le")
    return [(e.type, units[e.offset * 2 : (e.offset + e.length) * 2].decode("utf-16-le")) for e in rich.entities]


def test_html_nests_and_counts_utf16():
    rich = bot_text(
        "😀 <b>bold <i>both</i></b> &lt;x&gt; &amp; <a href='https://a.b/?x=1&amp;y=2'>link</a>", "HTML", None
    )
    assert rich.text == "😀 bold both <x> & link"
    assert parts(rich) == [("bold", "bold both"), ("italic", "both"), ("text_link", "link")]
    assert rich.entities[0].offset == 3
    assert rich.entities[2].extra == {"url": "https://a.b/?x=1&y=2"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<u>a</u><ins>b</ins>", [("underline", "a"), ("underline", "b")]),
        ("<s>a</s> <del>b</del> <strike>c</strike>", [("strikethrough", x) for x in "abc"]),
        ('<span class="tg-spoiler">a</span><tg-spoiler>b</tg-spoiler>', [("spoiler", "a"), ("spoiler", "b")]),
        ("<blockquote expandable>q</blockquote>", [("expandable_blockquote", "q")]),
        ("<code>/start</code>", [("code", "/start")]),
        ("<b></b>x", []),
        ('<tg-emoji emoji-id="5">👍</tg-emoji>', [("custom_emoji", "👍")]),
    ],
)
def test_html_tags(source, expected):
    assert parts(bot_text(source, "html", None)) == expected


def test_html_code_language():
    (entity,) = bot_text('<pre><code class="language-python">x = 1</code></pre>', "HTML", None).entities
    assert (entity.type, entity.extra) == ("pre", {"language": "python"})


@pytest.mark.parametrize(
    ("source", "description"),
    [
        ("a <foo>b</foo>", 'can\'t parse entities: Unsupported start tag "foo" at byte offset 2'),
        ("ä <foo>b</foo>", 'can\'t parse entities: Unsupported start tag "foo" at byte offset 3'),
        ("<b>x", "can't parse entities: Can't find end tag corresponding to start tag \"b\""),
        ("<b>x</i>", 'can\'t parse entities: Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("x</b>", "can't parse entities: Unexpected end tag at byte offset 1"),
        ("1 < 2", "can't parse entities: Unclosed start tag at byte offset 2"),
        ("<b> </b>", "message text is empty"),
        ("", "message text is empty"),
        ("x" * 4097, "message is too long"),
    ],
)
def test_html_refusals(source, description):
    with pytest.raises(ApiError) as caught:
        bot_text(source, "HTML", None)
    assert (caught.value.code, caught.value.description) == (400, f"Bad Request: {description}")


def test_numeric_references():
    assert bot_text("&#65;&#x42;&#X43;&unknown;&quot;", "HTML", None).text == 'ABC&unknown;"'


def test_markdown_v2():
    rich = bot_text("*b _i_* __u__ ~s~ ||p|| `c` [t](https://x.y) 1\\.5\n>q\n```py\nz\n```", "MarkdownV2", None)
    assert rich.text == "b i u s p c t 1.5\nq\nz"
    assert parts(rich) == [
        ("bold", "b i"), ("italic", "i"), ("underline", "u"), ("strikethrough", "s"), ("spoiler", "p"),
        ("code", "c"), ("text_link", "t"), ("blockquote", "q"), ("pre", "z"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "description"),
    [
        ("1.5", "Character '.' is reserved and must be escaped with the preceding '\\'"),
        ("a *b", "Can't find end of Bold entity at byte offset 2"),
        ("`x", "Can't find end of Code entity at byte offset 0"),
    ],
)
def test_markdown_v2_refusals(source, description):
    with pytest.raises(ApiError, match="can't parse entities") as caught:
        bot_text(source, "MarkdownV2", None)
    assert caught.value.description.endswith(description)


def test_legacy_markdown_reserves_nothing_else():
    rich = bot_text("*b* 1.5! _i_ [t](http://x.y)", "Markdown", None)
    assert rich.text == "b 1.5! i t"
    assert parts(rich) == [("bold", "b"), ("italic", "i"), ("text_link", "t")]


def test_unknown_mode():
    with pytest.raises(ApiError, match="unsupported parse_mode"):
        bot_text("x", "BBCode", None)


def test_given_entities_move_with_trimming():
    rich = bot_text("  hi  ", "", [{"type": "bold", "offset": 2, "length": 4}])
    assert (rich.text, parts(rich)) == ("hi", [("bold", "hi")])


def test_users_text_finds_its_entities():
    rich = user_text("/start@counter_bot go to https://a.b/c, @ada #tag a@b.c and not a/b")
    assert parts(rich) == [
        ("bot_command", "/start@counter_bot"), ("url", "https://a.b/c"), ("mention", "@ada"), ("hashtag", "#tag"),
        ("email", "a@b.c"),
    ]  # fmt: skip
