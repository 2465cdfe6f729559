"""The substitution test: does the feature of another SAE do what the feature does that it is matched with?"""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from torch import Tensor

from crosslens.alignment.assignment import nearest, one_to_one
from crosslens.alignment.dictionaries import check_one_site, digest_of, read_dictionary
from crosslens.features.encode import sae_of_model
from crosslens.features.splice import (
    Replacement,
    batches,
    check_edits,
    choose,
    mean_activation,
    norms,
    recovered,
    replace_at,
    run_edits,
)
from crosslens.gender.agreement import Editing, Place, log_odds
from crosslens.gender.targets import GENDERS, Target, targets_of
from crosslens.interventions.costs import BOOTSTRAPS, costs, interval, resamples
from crosslens.memory import memory_kept
from crosslens.models.hooks import capture, edit
from crosslens.models.load import LoadedModel, load_model
from crosslens.pooling.languages import Pairs, pairs_among
from crosslens.sae.io import check_site, load_sae
from crosslens.sae.model import SAE
from crosslens.stats.correlation import fisher_interval, pearson, spearman
from crosslens.stats.nulls import null_band
from crosslens.stats.resampling import stream
from crosslens.stats.tested import tested
from crosslens.tables.documents import read_table, write_json

log = logging.getLogger(__name__)

SIZES = (10, 30, 100, 300, 1000, 2000)
"""How many features are substituted at once, and as many as there are where these are fewer."""
LEAST_FEATURES = 10
"""Fewer pairs have no correlation worth a number."""
ALIKE = 5
"""Partners of like strength, among which the second null shuffles."""
PERMUTATIONS = 9999
SHUFFLES = 20
"""Orders of the partners that are dealt to the tokens in turn, so that what shuffled partners cost hangs on no single one."""


class Comparison(NamedTuple):
    """Whose features stand in for whose, on the captions of which language."""

    role: str
    """As of alignment.matching.ROLES."""
    language: str
    first: str
    """Names of the SAEs: `{language}/{seed}`, or `{language}/frozen`."""
    second: str


def comparisons(
    seeds: dict[str, Sequence[str]], frozen: Sequence[str], pairs: Pairs | None = None
) -> Iterator[Comparison]:
    """Each pair of languages, both ways; two seeds of each language; the frozen decoders of each pair.

    seeds: of each language, the first read. pairs: None for every two languages.
    """
    both_ways = [
        way for first, second in pairs_among(seeds, pairs) for way in ((first, second), (second, first))
    ]
    for language, other in both_ways:
        yield Comparison(
            "languages", language, f"{language}/{seeds[language][0]}", f"{other}/{seeds[other][0]}"
        )
    for language, (first, *others) in seeds.items():
        if others:
            yield Comparison("seeds", language, f"{language}/{first}", f"{language}/{others[0]}")
    for language, other in (way for way in both_ways if {*way} <= {*frozen}):
        yield Comparison("frozen", language, f"{language}/frozen", f"{other}/frozen")


@torch.inference_mode()
def substitute_features(
    *,
    model: dict[str, Any],
    images: Path | None,
    datasets: dict[str, Path],
    saes: dict[str, dict[str, Path]],
    frozen: dict[str, Path],
    features: dict[str, Path],
    site: str,
    roles: Sequence[str],
    count: int,
    max_samples: int,
    batch: int,
    seed: int,
    out: Path,
    pairs: Pairs | None = None,
) -> None:
    """Write JSON of kind substitution: features of one SAE put in the place of those of another that they are matched with.

    saes: language -> seed -> folder, the first seed the one that the analyses read; frozen: language -> SAE whose decoder
    was not trained, where there are; features: language -> its table of kind features, which says what is live. pairs:
    of the languages, those that are compared. Of each of `comparisons`, on captions of one language: see `compared`. Of
    at most `max_samples` samples of select, on which pairs are ordered and scaled, and of test, of which all else is
    told. model: keyword arguments of load_model. Raises InputError for SAEs of other sites or models, and RuntimeError
    where ablating nothing changes a logit.
    """
    folders = {f"{language}/{name}": path for language, of in saes.items() for name, path in of.items()}
    folders |= {f"{language}/frozen": path for language, path in frozen.items()}
    check_one_site(folders)
    loaded = load_model(**model)
    for folder in folders.values():
        check_site(folder, site)
        sae_of_model(folder, loaded.name, model.get("revision"), loaded.d_model)
    live = {
        f"{language}/{next(iter(of))}": np.flatnonzero(
            read_table(features[language], "features", ["feature", "live"])["live"]
        )
        for language, of in saes.items()
    }
    texts = {
        language: Texts(loaded, site, read_table(datasets[language], "dataset"), images, batch, roles, max_samples, seed)
        for language in saes
    }  # fmt: skip
    found = []
    with memory_kept():
        seeds = {language: [*of] for language, of in saes.items()}
        for comparison in comparisons(seeds, [*frozen], pairs):
            own = [folders[name] for name in comparison[2:]]
            partners = matched(
                *(read_dictionary(folder, "") for folder in own), *map(live.get, comparison[2:])
            )
            told = compared(
                texts[comparison.language],
                [load_sae(folder).to(loaded.device) for folder in own],
                partners,
                count,
                stream(seed, "substitution", *comparison),
            )
            found.append(
                {**comparison._asdict(), "saes": [digest_of(folder) for folder in own], "matched": len(partners)} | told
            )  # fmt: skip
            log.info("%s: %s", comparison, [point["recovered"] for point in told["curve"]])
    document = {
        "site": site,
        "languages": list(saes),
        "roles_replaced": list(roles),
        "chosen_on": "select",
        "split": "test",
        "features": count,
        "alike": ALIKE,
        "permutations": PERMUTATIONS,
        "shuffles": SHUFFLES,
        "bootstraps": BOOTSTRAPS,
        "seed": seed,
        "comparisons": found,
    }
    write_json(out, "substitution", document)


def matched(first: Any, second: Any, live: np.ndarray | None, others: np.ndarray | None) -> np.ndarray:
    """(m, 2) int64 ids of the features of two dictionaries matched by decoder cosine, of those that are live where that is
    known, as in alignment.matching."""
    ids = [
        np.arange(len(of)) if known is None else known
        for of, known in ((first, live), (second, others))
    ]  # fmt: skip
    rows = [of.decoder[own] for of, own in zip((first, second), ids, strict=True)]
    if not all(map(len, rows)):
        return np.empty((0, 2), dtype=np.int64)
    pairs = one_to_one(*rows, nearest(*rows))
    return np.stack([ids[0][pairs.first], ids[1][pairs.second]], axis=1)


class Texts:
    """Captions of one language: of select what the model holds at the site, of test what edits there cost."""

    def __init__(
        self,
        loaded: LoadedModel,
        site: str,
        frame: pd.DataFrame,
        images: Path | None,
        batch: int,
        roles: Sequence[str],
        max_samples: int,
        seed: int,
    ):
        self.loaded, self.site, self.images, self.batch, self.roles = loaded, site, images, batch, roles
        select, self.test = (
            choose(frame[frame["split"] == split], max_samples, seed) for split in ("select", "test")
        )
        self.targets = sentences_of(frame[frame["split"] == "test"], max_samples, seed)
        *_, self.limit = mean_activation(loaded, site, self._batches(select), roles)
        self.x = torch.cat([*self._activations(select)]).to(loaded.device)
        """(P, d) float32 of select, sinks left out; where SAEs are, whichever device the site is on."""

    def _batches(self, frame: pd.DataFrame):
        return batches(self.loaded, frame, self.images, self.batch)

    def _activations(self, frame: pd.DataFrame) -> Iterator[Tensor]:
        for _, batch in self._batches(frame):
            with capture(self.loaded, [self.site], stop=True) as captured:
                self.loaded.model(**batch.inputs, use_cache=False)
            value = captured[self.site]
            x = value[batch.has_role(self.roles).to(value.device)]
            yield x[norms(x) <= self.limit].float()

    def losses(self, edits: dict[str, Replacement]) -> pd.DataFrame:
        """Of edits of test, as of `run_edits`, those of label words too; `identity` among them must change nothing."""
        found = run_edits(
            *(self.loaded, self.site, self.test, self.images, self.batch, self.roles, edits, self.limit),
            divergence=False,
            labels=True,
        )
        if len(edits) > 1:
            check_edits(found.largest["identity"], max(found.largest.values()))
        return found.losses

    def outcomes(self, edits: dict[str, Replacement], losses: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Outcome -> its losses under the edits, all in the columns of `run_edits`: cross-entropy of all tokens; of label words,
        where there are any; of sentences in two genders what the model loses of preferring the form that agrees, in nats a
        gendered word (see crosslens.gender.agreement)."""
        found = {"ce": losses}
        if losses["label_tokens"].sum():
            # captions without such a word are no units of this outcome
            of_labels = losses.loc[
                losses["label_tokens"] > 0, ["group", *(name for name in losses if name.startswith("label_"))]
            ]
            found["label_words"] = of_labels.rename(columns=lambda name: name.removeprefix("label_"))
        if self.targets:
            found["agreement"] = self._agreement(edits)
        return found

    def _agreement(self, edits: dict[str, Replacement]) -> pd.DataFrame:
        places = [
            Place(target.prompt, target.prefix[gender], *map(target.form.get, GENDERS))
            for target in self.targets
            for gender in GENDERS
        ]
        sign = np.tile([1.0, -1.0], len(self.targets))

        def lost(editing: Editing) -> np.ndarray:
            scored = log_odds(self.loaded, places, batch=self.batch, editing=editing)
            return -sign * [place.log_odds for place in scored]

        columns = {"ce_clean": lost(nullcontext)}
        columns |= {
            f"ce_{name}": lost(
                lambda batch, fn=fn: edit(
                    self.loaded, self.site, replace_at(batch.has_role(self.roles), fn, self.limit)
                )
            )
            for name, fn in edits.items()
        }
        frame = pd.DataFrame(columns).assign(tokens=1)
        frame["group"] = np.repeat([target.group for target in self.targets], 2)
        # what the two forms share from their first token on has no odds
        return frame[frame["ce_clean"].notna()]


def sentences_of(frame: pd.DataFrame, count: int, seed: int) -> list[Target]:
    """The targets of at most `count` sentences in two genders; none where a study has none."""
    if "group" not in frame:
        return []
    groups = np.random.default_rng(seed).permutation(np.unique(frame["group"].to_numpy(dtype=str)))
    targets = {}
    for target in targets_of(frame)[0]:
        targets.setdefault(target.group, []).append(target)
    chosen = [group for group in groups if group in targets][:count]
    return [target for group in chosen for target in targets[group]]


def fitted(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Energy (m) of each column of z (P, m), its mean square, and the least-squares factor (m) of the second's by which it
    becomes the first's; 0 of one that never fires."""
    energy, other = first.square().mean(dim=0), second.square().mean(dim=0)
    scale = (first * second).mean(dim=0) / other.clamp_min(torch.finfo(other.dtype).tiny)
    return energy, scale.where(other > 0, 0.0)


def replaced(first: SAE, second: SAE, own: np.ndarray, partners: np.ndarray, scale: Tensor) -> Replacement:
    """x + Σ_i (s_i z′_i − z_i) d_i over features own (n) and partners (K, n): codes z of the first SAE's, z′ of the second's, d
    decoder rows of the first. Token t has the row t modulo K of partners and scale (K, n). The first's error term stays;
    with s = 0 the features are ablated."""
    own, partners = torch.from_numpy(own.copy()), torch.from_numpy(partners.copy())

    def fn(x: Tensor) -> Tensor:
        # The site may be on another device than the SAEs, as where the blocks of a model are on several.
        exact = x.float().to(first.W_dec.device)
        change = -first.encode_dense(exact)[:, own]
        if scale.any():
            row = torch.arange(len(exact)) % len(partners)
            other = second.encode_dense(exact).gather(1, partners[row].to(exact.device))
            change = change + scale[row.to(scale.device)] * other
        return (exact + first.write(change, own, exact)).to(x)

    return fn


def compared(
    texts: Texts, saes: Sequence[SAE], pairs: np.ndarray, count: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Two SAEs whose features are matched (m, 2), on captions of one language.

    Pairs stand in the order of their first feature's energy on select, those that do not fire there left out. `curve`: of
    the first n ΔCE when the first's features are ablated, when their partners' codes, scaled by least squares, take their
    place, and when those of partners do that were shuffled, SHUFFLES times; recovered: (ablated − substituted) / ablated, 1
    where the partners do the same. `effects`: of the first `count` pairs the correlation of what each costs when ablated in
    its own SAE with what its partner costs when ablated in the other, on the same captions (see `alike`).
    """
    first, second = saes
    z, other = first.encode_dense(texts.x), second.encode_dense(texts.x)
    energy, _ = fitted(z[:, pairs[:, 0]], other[:, pairs[:, 1]])
    order = torch.argsort(energy, descending=True, stable=True)[: int((energy > 0).sum())].numpy(force=True)
    pairs = pairs[order]
    _, scale = fitted(z[:, pairs[:, 0]], other[:, pairs[:, 1]])
    strength = fitted(other[:, pairs[:, 1]], z[:, pairs[:, 0]])[0].numpy(force=True)
    sizes = sorted({min(n, len(pairs)) for n in SIZES if len(pairs)})
    own, partners = pairs[:, 0], pairs[None, :, 1]
    mixed = np.stack([pairs[rng.permutation(len(pairs)), 1] for _ in range(SHUFFLES)])
    of_mixed = torch.stack([fitted(z[:, own], other[:, row])[1] for row in mixed])
    scale = scale[None]
    edits: dict[str, Replacement] = {
        "identity": replaced(first, first, own, own[None], torch.ones_like(scale))
    }
    for n in sizes:
        both = own[:n], partners[:, :n]
        edits[f"ablated_{n}"] = replaced(first, second, *both, torch.zeros_like(scale[:, :n]))
        edits[f"substituted_{n}"] = replaced(first, second, *both, scale[:, :n])
        edits[f"shuffled_{n}"] = replaced(first, second, own[:n], mixed[:, :n], of_mixed[:, :n])
    most = min(count, len(pairs))
    for i in range(most):
        for name, (sae, side) in {"first": (first, 0), "second": (second, 1)}.items():
            one = pairs[i : i + 1, side]
            edits[f"{name}_{i}"] = replaced(sae, sae, one, one[None], torch.zeros_like(scale[:, :1]))
    losses = texts.losses(edits)
    del edits["identity"]
    weights = resamples(losses["group"], rng)
    cost = costs(losses, [*edits], weights)
    at = {name: i for i, name in enumerate(edits)}

    def drawn(name: str) -> np.ndarray:
        return cost.draws[:, at[name]]

    curve = [
        {"n": n}
        | {
            "cost": {
                name: interval(drawn(f"{name}_{n}"), cost.groups)
                for name in ("ablated", "substituted", "shuffled")
            }
        }
        | {
            "recovered": {
                name: _share(drawn(f"ablated_{n}"), drawn(f"{name}_{n}"), cost.groups)
                for name in ("substituted", "shuffled")
            }
        }  # fmt: skip
        for n in sizes
    ]
    effects, single = [], {name: fn for name, fn in edits.items() if name.startswith(("first_", "second_"))}
    for outcome, of in texts.outcomes(single, losses).items():
        change = costs(of, [*single], resamples(of["group"], rng)).draws
        place = {name: i for i, name in enumerate(single)}
        sides = [change[:, [place[f"{name}_{i}"] for i in range(most)]] for name in ("first", "second")]
        effects.append(
            {"outcome": outcome, "groups": of["group"].nunique()} | alike(*sides, strength[:most], rng)
        )
    return {
        "samples": len(texts.test),
        "groups": len(weights),
        "tokens": int(losses["tokens"].sum()),
        "ce_clean": float(cost.clean[0]),
        "pairs": len(pairs),
        "curve": curve,
        "effects": effects,
        "features": [
            {"feature": int(pairs[i, 0]), "partner": int(pairs[i, 1]), "scale": float(scale[0, i])}
            | {"cost": {name: interval(drawn(f"{name}_{i}"), cost.groups) for name in ("first", "second")}}
            for i in range(most)
        ],
    }


def _share(ablated: np.ndarray, substituted: np.ndarray, groups: int) -> dict[str, float | None]:
    """What is recovered of the cost of ablating, with its interval; None where that cost may be none, a share of noise."""
    least = interval(ablated, groups)["low"]
    if least is None or least <= 0:
        return dict.fromkeys(("value", "low", "high"))
    share = recovered(ablated, substituted, np.zeros_like(ablated))
    return interval(share[np.isfinite(share)], groups)


def alike(
    first: np.ndarray, second: np.ndarray, strength: np.ndarray, rng: np.random.Generator
) -> dict[str, Any]:
    """Spearman and Pearson over m pairs of what both sides cost (1 + B, m), draws as of `Costs`.

    Two nulls, one-sided: partners shuffled, and partners shuffled among ALIKE of like `strength` (m), the energy of the
    partner, since strong features cost more than weak ones whatever they stand for.
    """
    n = first.shape[1]
    because = None if n >= LEAST_FEATURES else f"{n} pairs fire, and it takes {LEAST_FEATURES}"
    known = because is None and np.ptp(first[0]) > 0 and np.ptp(second[0]) > 0
    if because is None and not known:
        because = "ablating them costs the same, whichever it is"
    value = float(spearman(first[0], second[0])) if known else None
    nulls = {"pairing": np.empty(0), "strength": np.empty(0)}
    ways = {"pairing": math.factorial(n)}
    low = high = None
    block = np.argsort(np.argsort(strength, kind="stable")) // ALIKE
    block = np.minimum(block, max(n // ALIKE - 1, 0))
    ways["strength"] = math.prod(map(math.factorial, np.bincount(block).tolist()))
    if known:
        # the ranks of shuffled values are the shuffled ranks
        own, other = rankdata(first[0]), rankdata(second[0])
        nulls = {
            name: pearson(
                np.broadcast_to(own[:, None], (n, PERMUTATIONS)),
                other[shuffled_within(blocks, PERMUTATIONS, rng)],
            )
            for name, blocks in (("pairing", np.zeros(n, dtype=np.int64)), ("strength", block))
        }
        low, high = fisher_interval(value, spearman(first[1:].T, second[1:].T))
    return tested(because) | {
        "features": n,
        "spearman": {"value": value, "low": low, "high": high},
        "pearson": float(pearson(first[0], second[0])) if known else None,
        "null": {
            name: null_band(null, value, tails=1, arrangements=ways[name]) for name, null in nulls.items()
        },
    }


def shuffled_within(blocks: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(n, draws) rows of n in random orders that change places within a block (n) alone."""
    orders = np.repeat(np.arange(len(blocks))[:, None], draws, axis=1)
    for block in np.unique(blocks):
        rows = np.flatnonzero(blocks == block)
        orders[rows] = rng.permuted(orders[rows], axis=0)
    return orders
