"""Activations of chosen tokens at all sites from one forward pass a batch, for notebooks and for the rule."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosslens.errors import InputError
from crosslens.generation.continuation import encode_continuations
from crosslens.models.hooks import capture
from crosslens.models.inputs import Batch, Sample, as_sample, build_inputs, collate, load_images
from crosslens.models.lengths import check_lengths
from crosslens.models.load import LoadedModel, check_sites
from crosslens.tables.roles import TEXT_ROLES
from crosslens.tokens.describe import describe
from crosslens.tokens.select import Selection, check_all_found, choose
from crosslens.tokens.text_map import TextMap

SCALES = {
    "standardised": "(x − mean) / sd of the dimension over all text tokens of these texts",
    "log": "sign(x) · log10(1 + |x| / median |x| of the chosen tokens at the site, zeros left out)",
    "raw": "activation as it is",
}
"""How a dimension's values are made comparable: a few channels are orders of magnitude larger than the rest."""


@dataclass(frozen=True)
class Reference:
    """All M text tokens (prompt, caption, generated) of the texts, chosen or not: what is usual at each of S sites."""

    tokens: int
    """M."""
    mean: np.ndarray
    """(S, d_model) float64."""
    std: np.ndarray
    """(S, d_model) float64, ddof 0."""
    median_norm: np.ndarray
    """(S) float64."""


@dataclass(frozen=True)
class TokenActivations:
    """n chosen tokens at S sites of one model."""

    model: str
    sites: tuple[str, ...]
    values: np.ndarray
    """(n, S, d_model) float32."""
    tokens: pd.DataFrame
    """n rows, as `crosslens.tokens.describe.describe` makes them, without `column`."""
    reference: Reference
    maps: Mapping[str, Mapping[str, TextMap]]
    """sample id → role → the map of that text, whose tokens are all those of the sample in order."""

    def at(self, site: str) -> np.ndarray:
        """(n, d_model) float32 of one site; InputError for one that was not captured."""
        if site not in self.sites:
            raise InputError(
                "site",
                found=repr(site),
                expected=f"one of {', '.join(self.sites)}",
                mend="name it among the sites",
            )
        return self.values[:, self.sites.index(site)]

    def norms(self) -> np.ndarray:
        """(n, S) float64 Euclidean norms."""
        return np.linalg.norm(self.values.astype(np.float64), axis=-1)

    def relative_norms(self) -> np.ndarray:
        """(n, S) float64: norms over the median norm of all text tokens at the site; NaN where that is 0."""
        norms, median = self.norms(), self.reference.median_norm
        return np.divide(norms, median, out=np.full_like(norms, np.nan), where=median > 0)

    def along(self, directions: Mapping[str, np.ndarray]) -> np.ndarray:
        """(n, S) float64: the component along a direction of each site, (d_model) of any length but 0."""
        return np.stack(
            [
                self.at(site).astype(np.float64) @ (directions[site] / np.linalg.norm(directions[site]))
                for site in self.sites
            ],
            axis=1,
        )

    def cosine_tokens(self, site: str, *, centred: bool = False) -> np.ndarray:
        """(n, n) float64 cosines between the tokens at a site; centred: of the differences from the mean text token.

        Without it a few channels that are large in all tokens make all cosines nearly 1.
        """
        x = self.at(site).astype(np.float64)
        return _cosines(x - self.reference.mean[self.sites.index(site)] if centred else x)

    def cosine_sites(self, token: int) -> np.ndarray:
        """(S, S) float64 cosines of one token, by its row in `tokens`, between the sites."""
        return _cosines(self.values[token].astype(np.float64))

    def scaled(self, site: str, scale: str = "standardised") -> np.ndarray:
        """(n, d_model) float64 under one of SCALES; a dimension that does not vary is 0 when standardised."""
        if scale not in SCALES:
            raise InputError(
                "scale", found=repr(scale), expected=" or ".join(SCALES), mend="name one of these"
            )
        x, i = self.at(site).astype(np.float64), self.sites.index(site)
        if scale == "standardised":
            if self.reference.tokens < 2:
                raise InputError(
                    "scale",
                    found="standardised, over a single text token",
                    expected="two tokens or more in the texts",
                    mend="give longer texts, or use scale log",
                )
            std = self.reference.std[i]
            return np.divide(x - self.reference.mean[i], std, out=np.zeros_like(x), where=std > 0)
        if scale == "log":
            size = np.abs(x)
            return np.sign(x) * np.log10(1 + size / np.median(size[size > 0])) if size.any() else x
        return x

    @property
    def order(self) -> str:
        """Which dimensions `dimensions` takes, in words."""
        return "that vary most between the tokens" if len(self.tokens) > 1 else "of the largest |value|"

    def dimensions(
        self, site: str, dims: Sequence[int] | None = None, *, count: int = 40, scale: str = "standardised"
    ) -> pd.DataFrame:
        """Tidy rows (token, dim, value) under a scale, of `dims` or of the `count` that vary most between the tokens.

        The most varying dimension comes first; of a single token, which does not vary, that of the largest |value|.
        `token` is the row in `tokens`.
        """
        values = self.scaled(site, scale)
        if dims is None:
            size = values.var(axis=0) if len(values) > 1 else np.abs(values[0])
            dims = np.argsort(-size, kind="stable")[:count]
        chosen = np.asarray(dims, dtype=np.int64)
        if ((chosen < 0) | (chosen >= values.shape[1])).any():
            raise InputError(
                "dims",
                found=chosen.tolist(),
                expected=f"0 to {values.shape[1] - 1}",
                mend="name dimensions of the model",
            )
        token, column = np.indices((len(values), len(chosen)))
        return pd.DataFrame(
            {"token": token.ravel(), "dim": chosen[column.ravel()], "value": values[:, chosen].ravel()}
        )

    def table(self) -> pd.DataFrame:
        """A row for each token and site: the token's columns, site, norm, relative_norm, mean, std (ddof 0), min, max."""
        x = self.values.astype(np.float64)
        measures = {
            "norm": self.norms(),
            "relative_norm": self.relative_norms(),
            "mean": x.mean(axis=-1),
            "std": x.std(axis=-1),
            "min": x.min(axis=-1),
            "max": x.max(axis=-1),
        }
        rows = self.tokens.loc[self.tokens.index.repeat(len(self.sites))].reset_index(names="token_row")
        rows["site"] = np.tile(self.sites, len(self.tokens))
        return rows.assign(**{name: values.ravel() for name, values in measures.items()})


def token_activations(
    loaded: LoadedModel,
    samples: Sequence[Any],
    sites: Sequence[str],
    *,
    select: Selection | None = None,
    language: str | Sequence[str] = "",
    images: Path | None = None,
    batch: int = 8,
) -> TokenActivations:
    """The chosen tokens (all by default) of the samples at the sites, on whatever device the model is.

    samples: rows as `build_inputs` takes them, each with an id of its own; one without a caption ends where the model
    would answer, and a row of the table that `generate_texts` writes has the ids that were generated. language: of all
    samples or one each, for their words. images: the folder of the samples' pictures. Memory on the device: one batch.
    Raises InputError for a selection that finds nothing, a site that the model does not have and an activation that is
    not finite.
    """
    rows = [as_sample(sample) for sample in samples]
    languages = [language] * len(rows) if isinstance(language, str) else list(language)
    _check(rows, languages)
    names = tuple(str(site) for site in check_sites(loaded, sites))
    select = select or Selection()
    usual = _Usual(len(names), loaded.d_model)
    tables, values, maps, found = [], [], {}, set()
    for part in _batches(rows, batch):
        inputs = _inputs(loaded, [rows[i] for i in part], images)
        with torch.inference_mode():
            with capture(loaded, names, stop=True) as captured:
                loaded.model(**inputs.inputs, use_cache=False)
            text = inputs.has_role(TEXT_ROLES)
            read = np.stack([_on_cpu(captured[name], text) for name in names], axis=1)
        owners = [rows[part[at]].sample_id for at in text.nonzero()[:, 0].tolist()]
        usual.add(_finite(read, owners, inputs.position[text].tolist(), names))
        for at, i in enumerate(part):
            table, maps[rows[i].sample_id] = describe(loaded.tokenizer, inputs, at, rows[i], languages[i])
            choice = choose(table, select)
            found |= choice.found
            tables.append(table[choice.mask])
            columns = torch.tensor(tables[-1]["column"].tolist())
            read = np.stack([_on_cpu(captured[name][at], columns) for name in names], axis=1)
            values.append(
                _finite(read, tables[-1]["sample"].tolist(), tables[-1]["position"].tolist(), names)
            )
    check_all_found(select, found, len(rows))
    return TokenActivations(
        model=loaded.name,
        sites=names,
        values=np.concatenate(values),
        tokens=pd.concat(tables, ignore_index=True).drop(columns="column"),
        reference=usual.reference(),
        maps=maps,
    )


def _kind(sample: Sample) -> str:
    """What there is behind the prompt: the ids that the model generated, a caption, or nothing."""
    return "generated" if sample.token_ids else "caption" if sample.caption else "prompt"


def _batches(rows: Sequence[Sample], size: int) -> Iterator[list[int]]:
    """Neighbours of one kind, at most `size` of them."""
    for _, run in groupby(range(len(rows)), key=lambda i: _kind(rows[i])):
        places = list(run)
        yield from (places[start : start + size] for start in range(0, len(places), size))


def _inputs(loaded: LoadedModel, rows: Sequence[Sample], images: Path | None) -> Batch:
    """Samples of one kind as a batch."""
    kind = _kind(rows[0])
    if kind != "generated":
        return build_inputs(loaded, rows, images=images, with_caption=kind == "caption")
    encoded = encode_continuations(loaded, rows, images=images)
    check_lengths(loaded, [row.sample_id for row in rows], [len(sample) for sample in encoded])
    return collate(loaded, encoded, load_images(loaded, rows, images))


def _on_cpu(value: Tensor, rows: Tensor) -> np.ndarray:
    """The rows (an index, or a mask of the leading dimensions) as float32 (rows, d_model)."""
    return value[rows.to(value.device)].float().cpu().numpy()


class _Usual:
    """Sums over text tokens, in float64 on the CPU: MPS has no float64."""

    def __init__(self, sites: int, d_model: int):
        self.count = 0
        self.sum, self.squares = np.zeros((2, sites, d_model))
        self.norms: list[np.ndarray] = []

    def add(self, values: np.ndarray) -> None:
        """Of (rows, S, d_model)."""
        x = values.astype(np.float64)
        self.count += len(x)
        self.sum += x.sum(axis=0)
        self.squares += np.square(x).sum(axis=0)
        self.norms.append(np.linalg.norm(x, axis=-1))

    def reference(self) -> Reference:
        if not self.count:
            raise InputError(
                "texts", found="no token of a text", expected="a prompt or a caption", mend="give texts"
            )
        mean = self.sum / self.count
        variance = np.maximum(self.squares / self.count - mean**2, 0)
        return Reference(self.count, mean, np.sqrt(variance), np.median(np.vstack(self.norms), axis=0))


def _check(rows: Sequence[Sample], languages: Sequence[str]) -> None:
    if not rows:
        raise InputError("texts", found="none", expected="one or more", mend="give texts")
    if len(languages) != len(rows):
        raise InputError(
            "language",
            found=f"{len(languages)} for {len(rows)} texts",
            expected="one for all, or one each",
            mend="name them all",
        )
    ids = [row.sample_id for row in rows]
    if twice := next((id for id in ids if ids.count(id) > 1), None):
        raise InputError(
            "texts",
            found=f"the sample id {twice!r} twice",
            expected="one id a text",
            mend="give every text its own",
        )


def _finite(
    x: np.ndarray, samples: Sequence[str], positions: Sequence[int], sites: Sequence[str]
) -> np.ndarray:
    """x (rows, S, d_model) as it is; InputError, naming the row's sample and position and the site, if it is not finite."""
    if not (finite := np.isfinite(x).all(axis=-1)).all():
        token, site = np.argwhere(~finite)[0]
        raise InputError(
            f"sample {samples[token]}, site {sites[site]}, position {positions[token]}",
            found="a NaN or an infinity",
            expected="finite activations",
            mend="use model.dtype float32 or bfloat16 with sound weights",
        )
    return x


def _cosines(x: np.ndarray) -> np.ndarray:
    """(n, n) of the rows; NaN for a row of zeros."""
    with np.errstate(invalid="ignore"):
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    return unit @ unit.T
