"""What stands at the head of the page."""

from collections.abc import Iterator
from typing import Any

from crosslens.report.numbers import plain
from crosslens.report.sections.base import Results
from crosslens.summary.names import site_name

ALTERED = {
    "romanised": "texts of another script are written in Latin letters",
    "shuffled": "the words of every text stand in a drawn order",
}


def subject(results: Results) -> str:
    """What the page is about; only a model that sees pictures has captioned some."""
    model = "a vision-language model" if "stereotype" in results.files else "a language model"
    gender = "gender in " if results.has_gender or results.records("transfer") else ""
    return f"{gender}the {'features' if results.records('saes') else 'activations'} of {model}"


def lead(results: Results) -> str:
    """The model, the data and where it was measured, in a line."""
    model = results.source.get("name") or results.source.get("id") or "the model"
    encoded = list(dict.fromkeys(record["site"] for record in results.records("saes")))
    measured = [f"sparse autoencoders at {_listed(encoded)}"] if encoded else []
    if len(encoded) < len(results.sites):
        measured.append(f"activations at {_listed(results.sites)}")
    images, rows = (plain(results.dataset(name)) for name in ("images", "rows"))
    return (
        f"Model: {model}. {images} {results.words['units']}, {rows} {results.words['lead']}; "
        f"{'; '.join(measured)}."
    )


def warnings(results: Results) -> list[str]:
    """What a reader must know of the model and the data before any number."""
    return [*altered(results.settings), *(warning["message"] for warning in results.dataset("warnings"))]


def altered(settings: dict[str, Any]) -> Iterator[str]:
    """What makes a control of a study."""
    if settings["model"]["random_init"] is not None:
        yield "This is a control: the model is untrained, its parameters but those of embeddings and output head drawn anew."
    if settings["text"] is not None:
        yield f"This is a control: {ALTERED[settings['text']]}; labels and masks are those of the texts as given."


def _listed(sites: list[str]) -> str:
    return ", ".join(site_name(site) for site in sites)
