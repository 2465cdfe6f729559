"""How many features tell the gender of the person, of the noun, or of both, over the layers of a study."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.sites import site_ticks
from crosslens.figures.style import heading, nothing, save, style, tidy
from crosslens.summary.names import corpus_name, short_name, site_order
from crosslens.summary.reading import Document

Record = dict[str, Any]
SHADES = {"semantic": "#0173B2", "grammatical": "#DE8F05", "both": "#029E73"}


def grammar_figure(*, layers: dict[str, Path], out: Path) -> None:
    """Write grammar.png to the folder `out`; layers: site → its summary. Raises InputError where a field is missing."""
    out.mkdir(parents=True, exist_ok=True)
    records = [record for path in layers.values() for record in Document(path, "layer").records("grammar")]
    save(drawn(records, sorted(layers, key=site_order)), out / "grammar.png", tidy(records))


def drawn(records: list[Record], sites: list[str]) -> Figure:
    """A panel an SAE and language: bars of the counts at each site, and a line where chance would put each."""
    panels = list(dict.fromkeys((record["corpus"], record["language"]) for record in records)) or [("", "")]
    with style():
        figure = Figure(figsize=(1.5 + 4.6 * len(panels), 4.2))
        for axes, (corpus, language) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            some = [
                record
                for record in records
                if (record["corpus"], record["language"]) == (corpus, language) and record["classes"]["all"]
            ]
            if corpus:
                axes.set_title(f"{corpus_name(corpus)}, {short_name(language)}")
            site_ticks(axes, sites)
            axes.set(ylabel="features", xlim=(-0.6, len(sites) - 0.4))
            if some:
                _bars(axes, some, sites)
            else:
                nothing(axes, "not tested" if records else "not measured")
        heading(
            figure,
            "Gender of the person, and grammatical gender of the noun",
            "Features that tell the gender of the person a text is of, with grammar taken out, and of nouns for things, "
            "whose units are the nouns. Lines: mean number with the labels shuffled.",
        )
    return figure


def _bars(axes: Axes, records: list[Record], sites: list[str]) -> None:
    width = 0.26
    for i, (kind, shade) in enumerate(SHADES.items()):
        x = [sites.index(record["site"]) + (i - 1) * width for record in records]
        counts = [record["classes"]["all"]["counts"][kind] for record in records]
        chance = [record["classes"]["all"]["chance"][kind] for record in records]
        axes.bar(x, counts, width * 0.9, color=shade, label=kind)
        axes.hlines(
            chance, [at - width / 2 for at in x], [at + width / 2 for at in x], color="#111111", linewidth=1
        )
    axes.legend(loc="upper left")
