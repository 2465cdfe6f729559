"""Write the pages of figures to look into, out of the CSV files that lie beside the pictures."""

import csv
import json
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from crosslens.data.languages import language_of
from crosslens.report.links import FEATURES
from crosslens.report.plots.specs import PLOTS, Plot
from crosslens.summary.names import corpus_name, short_name, site_name

OWN = {"female": "#CC78BC", "male": "#029E73"}
"""Colours of what has one in all figures, beside the languages' own."""


def write_plots(*, study: str, figures: dict[str, Path], languages: list[str], out: Path) -> None:
    """Write `{place}/{figure}.html` to the folder `out` for each of `figures` that PLOTS names.

    figures: `{corpus}/{site}/{figure}`, or those of them that it has -> CSV of what it shows. A page is one file that needs
    nothing else; where features are points, these lead to the pages of features beside the folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, path in figures.items():
        place, _, stem = name.rpartition("/")
        if stem in PLOTS and (rows := _rows(path, PLOTS[stem])):
            page = out / f"{name}.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(_page(study, place, PLOTS[stem], rows, languages), encoding="utf-8")


def _rows(path: Path, plot: Plot) -> list[dict[str, str]]:
    """Those that are shown, without columns that none of them fills."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not plot.only[0] or row[plot.only[0]] == plot.only[1]]
    filled = (
        [name for name in rows[0] if name != plot.only[0] and any(row[name] for row in rows)] if rows else []
    )
    return [{name: row[name] for name in filled} for row in rows]


def _page(study: str, place: str, plot: Plot, rows: list[dict[str, str]], languages: list[str]) -> str:
    corpus, _, site = place.rpartition("/")
    columns = [*rows[0]]
    of = ", ".join([*([site_name(site)] if site else []), *([corpus_name(corpus)] if corpus else [])])
    data = {
        "views": [view for view in plot.views if {*view[1:]} <= {*columns}],
        "axes": plot.axes,
        "called": {code: short_name(code) for code in languages},
        "panels": [name for name in plot.panels if name in columns],
        "colours": [name for name in plot.colours if name in columns],
        **{"value": plot.value, "zero": plot.zero, "columns": columns},
        "rows": [[_number(row[name]) for name in columns] for row in rows],
        "palette": OWN
        | {name: language_of(code).colour for code in languages for name in (code, short_name(code))},
        "features": _features(place, site, corpus) if plot.links and site else None,
    }
    script = _text("plot.js")
    given = {
        **{
            "study": study,
            "title": f"{plot.title}{', ' + of if of else ''}",
            "css": Markup(_text("plot.css")),
        },
        # a script of this type is data and is not run; nothing in it may end it
        "data": Markup(json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")),
        **{"script": Markup(script), "back": "../" * (place.count("/") + bool(place) + 1) + "index.html"},
        "digest": "sha256-" + b64encode(sha256(script.encode()).digest()).decode(),
    }
    environment = Environment(loader=FunctionLoader(_text), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("plot.html.jinja").render(given)


def _features(place: str, site: str, corpus: str) -> dict[str, str]:
    """What addresses of features begin with; a column `corpus` of a row says which SAE where the figure is of several."""
    up = "../" * (place.count("/") + 2)
    return {"page": f"{up}{FEATURES}", "site": site, "corpus": corpus or "joint"}


def _number(text: str) -> Any:
    """A finite number where it is one; truth as words."""
    try:
        value = float(text)
    except ValueError:
        return {"True": "yes", "False": "no"}.get(text, text)
    return value if value - value == 0 else text


def _text(name: str) -> str:
    return files("crosslens.report.plots").joinpath(name).read_text(encoding="utf-8")
