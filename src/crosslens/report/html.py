"""Pieces of the page as markup: whatever is put into them is escaped, unless it is markup itself."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from crosslens.report.pictures import Picture


def tag(name: str, *content: Any, **attributes: Any) -> Markup:
    """`<name key="value">content</name>`; `class_` for `class`, `aria_label` for `aria-label`."""
    named = Markup("").join(
        Markup(' {}="{}"').format(Markup(key.rstrip("_").replace("_", "-")), value)
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), named, Markup("").join(content))


def term(anchor: str, words: str) -> Markup:
    """Words that lead to their definition."""
    return tag("a", words, class_="term", href=f"#def-{anchor}")


def missing(words: str) -> Markup:
    """A paragraph that says what is not there."""
    return tag("p", words, class_="missing")


def picture(shown: Picture) -> Markup:
    """A figure with its caption."""
    image = Markup('<img src="{}" alt="{}" width="{}" height="{}">')
    return tag(
        "figure",
        image.format(shown.src, shown.alt, shown.width, shown.height),
        tag("figcaption", shown.caption),
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
