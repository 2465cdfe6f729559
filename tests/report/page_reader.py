"""Reads a page with html.parser: that its tags nest, its tables, its attributes and its text."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """`tables`: class -> rows of (text, exact values); `attributes`: all of them; `text`: what is read."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.tables: dict[str, list[list[tuple[str, list[str]]]]] = {}
        self.text = ""
        self.table: list | None = None
        self.cell: tuple[list[str], list[str]] | None = None
        self.ids: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        """Opens a tag."""
        named = dict(attrs)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if "id" in named:
            self.ids.append(named["id"])
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.table = self.tables.setdefault(named.get("class", ""), [])
        elif tag == "tr" and self.table is not None:
            self.table.append([])
        elif tag in ("td", "th"):
            self.cell = ([], [])
        elif tag == "data" and self.cell is not None:
            self.cell[1].append(named["value"])

    def handle_endtag(self, tag):
        """Closes the innermost tag, which it must be."""
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()
        if tag in ("td", "th") and self.cell is not None:
            self.table[-1].append(("".join(self.cell[0]).strip(), self.cell[1]))
            self.cell = None

    def handle_data(self, data):
        """Text."""
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data
            if self.cell is not None:
                self.cell[0].append(data)
