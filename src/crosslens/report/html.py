"""Pieces of the page as markup: whatever is put into them is escaped, unless it is markup itself, and acts on nothing else."""

import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from crosslens.report.pictures import Picture

CONTROLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n\r"}
CONTROLS |= dict.fromkeys(range(0x7F, 0xA0), 0x2421)
"""Character that does something or nothing to the picture that stands for it."""
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What turns the text behind it round, until it is ended."""


def visible(text: str) -> str:
    """A text whose control characters can be seen; none of them acts."""
    return text.translate(CONTROLS)


def shown(value: Any) -> Any:
    """What is put into a page: a text that is visible, and by itself where it would turn what stands behind it; else as it is."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = visible(value)
    return Markup("<bdi>{}</bdi>").format(text) if TURNING.search(text) else text


def tag(name: str, *content: Any, **attributes: Any) -> Markup:
    """`<name key="value">content</name>`; `class_` for `class`, `aria_label` for `aria-label`."""
    named = Markup("").join(
        Markup(' {}="{}"').format(
            Markup(key.rstrip("_").replace("_", "-")), visible(value) if isinstance(value, str) else value
        )
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), named, Markup("").join(map(shown, content)))


def term(anchor: str, words: str) -> Markup:
    """Words that lead to their definition."""
    return tag("a", words, class_="term", href=f"#def-{anchor}")


def missing(words: str) -> Markup:
    """A paragraph that says what is not there."""
    return tag("p", words, class_="missing")


def picture(shown: Picture) -> Markup:
    """A figure with its caption."""
    plot = (" ", tag("a", "Look into it", href=shown.plot)) if shown.plot else ()
    image = Markup('<img src="{}" alt="{}" width="{}" height="{}">')
    return tag(
        "figure",
        image.format(shown.src, shown.alt, shown.width, shown.height),
        tag("figcaption", shown.caption, *plot),
    )


class Folded(Markup):
    """The markup of what is folded behind its title, which still knows its pieces."""

    title: str
    content: Sequence[Any]


def details(title: str, *content: Any, is_open: bool = False) -> Folded:
    """What is folded behind its title."""
    markup = Markup("<details{}>{}\n{}\n</details>").format(
        Markup(" open" if is_open else ""), tag("summary", title), Markup("\n").join(content)
    )
    made = Folded(markup)
    made.title, made.content = title, content
    return made
