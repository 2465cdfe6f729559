"""The stage `inspect_tokens`: chosen tokens of a few texts as a document, their activations and heat maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from crosslens.errors import InputError
from crosslens.figures.style import save
from crosslens.figures.token_heatmaps import cosines_figure, dimensions_figure, sites_figure
from crosslens.models.inputs import Sample, as_sample
from crosslens.models.load import load_model
from crosslens.store.remove import remove
from crosslens.tables.arrays import create_group, create_rows
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.roles import TEXT_ROLES
from crosslens.tokens.measure import SCALES, TokenActivations, token_activations
from crosslens.tokens.select import Selection, selection
from crosslens.tokens.text_map import TextMap

MOST_TOKENS = 80
"""What one heat map can show."""
COSINES = {"activations": False, "differences from the mean text token": True}
_SHARD_BYTES = 64 << 20
_MEASURES = ["norm", "relative_norm", "mean", "std", "min", "max"]


def inspect_tokens(
    *,
    model: dict[str, Any],
    texts: Sequence[Mapping[str, str]] = (),
    sites: Sequence[str],
    select: Mapping[str, Any],
    out: Path,
    datasets: Mapping[str, Path] | None = None,
    samples: Sequence[str] = (),
    images: Path | None = None,
    dimensions: int = 40,
    scale: str = "standardised",
) -> None:
    """Write tokens.json (kind token_inspection), activations.zarr and figures to the folder `out`.

    model: keyword arguments of `load_model`. texts: entries with `language`, `text` and optionally `prompt`; without
    one the text is itself the prompt (role prompt), with one it is the caption. samples: sample ids that are added in
    every language of `datasets` (language → dataset parquet), their pictures from `images`. select: settings of
    `Selection`, all text tokens where it names nothing. dimensions: how many are drawn, under `scale`, one of
    crosslens.tokens.measure.SCALES. Raises InputError for a text or a selection that cannot be used and for more than
    MOST_TOKENS chosen tokens.
    """
    chosen = selection(select) or Selection(roles=TEXT_ROLES)
    rows, languages = _texts(texts)
    for language, path in (datasets or {}).items() if samples else ():
        added = _of_dataset(path, language, samples)
        rows += added
        languages += [language] * len(added)
    found = token_activations(
        load_model(**model), rows, sites, select=chosen, language=languages, images=images
    )
    if len(found.tokens) > MOST_TOKENS:
        raise InputError(
            "select",
            found=f"{len(found.tokens)} chosen tokens in {len(rows)} texts",
            expected=f"at most {MOST_TOKENS}, which one heat map can show",
            mend="choose by word, position or role, or give fewer texts",
        )
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "tokens.json", "token_inspection", _document(found, rows, languages, select))
    _write_values(out / "activations.zarr", found)
    for name, (figure, rows) in _figures(found, dimensions, scale).items():
        save(figure, out / f"{name}.png", rows)


def _texts(texts: Sequence[Mapping[str, str]]) -> tuple[list[Sample], list[str]]:
    rows: list[Sample] = []
    languages: list[str] = []
    for number, entry in enumerate(texts, 1):
        if not {"language", "text"} <= set(entry) <= {"language", "text", "prompt"} or not entry["text"]:
            raise InputError(
                f"text {number} to inspect",
                found=f"the keys {', '.join(entry) or 'none'}, text {entry.get('text', '')!r}",
                expected="language, text and optionally prompt",
                mend="correct `texts:` of the tokens to inspect",
            )
        prompt = entry.get("prompt", "")
        caption, prompt = (entry["text"], prompt) if prompt else ("", entry["text"])
        rows.append(Sample(f"text {number} ({entry['language']})", caption, prompt))
        languages.append(entry["language"])
    return rows, languages


def _of_dataset(path: Path, language: str, samples: Sequence[str]) -> list[Sample]:
    table = read_table(path, "dataset").set_index("sample_id", drop=False)
    if missing := [sample for sample in samples if sample not in table.index]:
        raise InputError(
            path,
            found=f"no sample {missing[0]}",
            expected=f"sample ids such as {table.index[0]}",
            mend="correct `samples:` of the tokens to inspect",
        )
    chosen = [as_sample(row) for row in table.loc[list(samples)].to_dict("records")]
    return [sample._replace(sample_id=f"{sample.sample_id} ({language})") for sample in chosen]


def _document(
    found: TokenActivations, rows: Sequence[Sample], languages: Sequence[str], select: Mapping[str, Any]
) -> dict[str, Any]:
    measures = found.table()
    return {
        "model": found.model,
        "sites": found.sites,
        "select": dict(select),
        "reference": {
            "tokens": found.reference.tokens,
            "median_norm": dict(zip(found.sites, found.reference.median_norm.tolist(), strict=True)),
        },
        "texts": [
            {
                "sample": row.sample_id,
                "language": language,
                "prompt": row.prompt,
                "caption": row.caption,
                "image": row.image,
                "maps": {role: _map(mapped) for role, mapped in found.maps[row.sample_id].items()},
            }
            for row, language in zip(rows, languages, strict=True)
        ],
        "tokens": found.tokens.to_dict("records"),
        "measures": {
            site: dict(zip(_MEASURES, _numbers(own[_MEASURES].to_numpy().T), strict=True))
            for site, own in measures.groupby("site", sort=False)
        },
        "cosines": {
            site: {
                kind: _numbers(found.cosine_tokens(site, centred=centred))
                for kind, centred in COSINES.items()
            }
            for site in found.sites
        },
        "cosines_between_sites": [_numbers(found.cosine_sites(token)) for token in range(len(found.tokens))],
    }


def _map(mapped: TextMap) -> dict[str, Any]:
    """Units and words of a text, with the positions in the sample of the tokens that each has."""
    return {
        "units": [unit._asdict() for unit in mapped.units],
        "words": [
            {
                **word._asdict(),
                "tokens": tokens,
                "readings": [
                    [
                        {**part._asdict(), "tokens": mapped.tokens_in(part.start, part.end)}
                        for part in reading.segments
                    ]
                    for reading in mapped.readings(i)
                ],
            }
            for i, (word, tokens) in enumerate(zip(mapped.words, mapped.tokens_of, strict=True))
        ],
    }


def _numbers(values: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(value) else round(float(value), 6) for value in row] for row in values]


def _write_values(path: Path, found: TokenActivations) -> None:
    """A Zarr group of kind token_activations: an array a site, (n, d_model) float32, rows as in tokens.json.

    In the place of what a job left that was killed behind this.
    """
    remove(path)
    group = create_group(path, "token_activations", model=found.model, sites=list(found.sites))
    for site in found.sites:
        values = found.at(site)
        array = create_rows(
            group, site, "float32", width=values.shape[1], rows=len(values), shard_bytes=_SHARD_BYTES
        )
        array[:] = values


def _figures(found: TokenActivations, dimensions: int, scale: str) -> dict[str, tuple[Figure, pd.DataFrame]]:
    """Each figure and its numbers; `token`, `first` and `second` are places in the list of tokens."""
    tokens, norms = found.tokens, site_rows(found, found.relative_norms())
    what = "norm / median norm of the text tokens at the site"
    title = f"Norms of tokens, {found.model}"
    shown = tokens[["sample", "position", "display"]]
    figures = {
        "norms": (
            sites_figure(tokens, norms, title=title, what=what, centre=1),
            norms.join(shown, on="token"),
        )
    }
    for site in found.sites:
        rows = found.dimensions(site, count=dimensions, scale=scale)
        limit = 3.0 if scale == "standardised" else None
        figure = dimensions_figure(
            tokens, rows, site=site, scale=SCALES[scale], order=found.order, limit=limit
        )
        figures[f"dimensions_{site}"] = figure, rows.join(shown, on="token")
        cosines = cosine_rows(found, site)
        figures[f"cosines_{site}"] = cosines_figure(tokens, cosines, site=site), cosines
    return figures


def site_rows(found: TokenActivations, values: np.ndarray) -> pd.DataFrame:
    """(n, S) numbers as tidy rows (token, site, value)."""
    token, site = np.indices(values.shape)
    return pd.DataFrame(
        {"token": token.ravel(), "site": np.array(found.sites)[site.ravel()], "value": values.ravel()}
    )


def cosine_rows(found: TokenActivations, site: str) -> pd.DataFrame:
    """Cosines between the tokens as tidy rows (kind, first, second, value), for each of COSINES."""
    first, second = np.indices((len(found.tokens), len(found.tokens)))
    return pd.concat(
        pd.DataFrame(
            {
                "kind": kind,
                "first": first.ravel(),
                "second": second.ravel(),
                "value": found.cosine_tokens(site, centred=centred).ravel(),
            }
        )
        for kind, centred in COSINES.items()
    )
