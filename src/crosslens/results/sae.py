"""One SAE of a built study: its weights, what is known of its features, and what they do on texts of one's own."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_array

from crosslens.artifacts.needs import first_sae, languages_of
from crosslens.errors import InputError
from crosslens.features.encode import sae_of_model, to_csr
from crosslens.features.examples import codes_of_features, top_examples
from crosslens.interventions.arms import Level, levels_on_select
from crosslens.interventions.captioned import Writer
from crosslens.interventions.edits import Edit, of_features
from crosslens.models.inputs import Sample
from crosslens.results.built import Built
from crosslens.sae.io import load_sae, sae_digest, sae_identity
from crosslens.sae.model import SAE
from crosslens.summary.reading import Document
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table
from crosslens.tables.of_sae import check_of_sae
from crosslens.tables.roles import SINK_FACTOR, TEXT_ROLES
from crosslens.tokens.measure import token_activations
from crosslens.tokens.select import Selection


class OpenSAE:
    """The SAE that the analyses of a corpus and site read. Ids of features are its own, and of no other."""

    def __init__(self, study: Built, corpus: str, site: str):
        self.study, self.corpus, self.site = study, corpus, site
        self._at = study.at(corpus=corpus, site=site)

    def __repr__(self) -> str:
        return f"{self.corpus}/{self.site} of {self.study.name}"

    # what it is

    @cached_property
    def folder(self) -> Path:
        """Where it lies, in the layout of SAELens."""
        return self.study.of(first_sae(self._at))

    @cached_property
    def digest(self) -> str:
        """sha256 of its weights, which ids of features are tied to."""
        return sae_digest(self.folder)

    @property
    def identity(self) -> dict[str, Any]:
        """corpus, site, seed, model and revision."""
        return sae_identity(self.folder)

    @cached_property
    def weights(self) -> SAE:
        """W_enc (d, F), W_dec (F, d), b_enc, b_dec, and `encode`, `decode`; on the CPU, in float32."""
        return load_sae(self.folder)

    @property
    def languages(self) -> list[str]:
        """Those that it is read in."""
        return languages_of(self._at)

    @torch.inference_mode()
    def encode(self, x: np.ndarray) -> csr_array:
        """Activations (n, d) of its site to codes (n, F) float32, all > 0."""
        given = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
        values, indices = self.weights.encode(given)
        return to_csr(values.numpy(), indices.numpy(), self.weights.d_sae)

    # what is known of its features

    def features(self, language: str) -> pd.DataFrame:
        """A row a feature: how often it fires, and how strongly."""
        folder = self._of("features", language)
        self._own(Document(folder / "rankings.json", "rankings"))
        return read_table(folder / "features.parquet", "features")

    def rankings(self, language: str) -> Document:
        """The first features of each ranking, and the categories that have one of their own."""
        return self._own(Document(self._of("features", language) / "rankings.json", "rankings"))

    def effects(self, language: str) -> pd.DataFrame:
        """The effect of gender on every feature, a row a condition, split and feature."""
        folder = self._of("gender", language)
        self._own(Document(folder / "gender.json", "gender"))
        return read_table(folder / "effects.parquet", "gender_effects")

    def quality(self, language: str) -> Document:
        """Explained variance, L0, dead features and baselines."""
        return self._own(Document(self._of("quality", language), "quality"))

    def codes(self, language: str) -> Codes:
        """What every encoded token of the study activates: a Zarr group, of which `rows(start, stop)` takes CSR rows."""
        found = Codes(self._of("codes", language))
        check_of_sae(found.path, "features", found.attributes["sae"], self.digest)
        return found

    @property
    def promoted(self) -> pd.DataFrame:
        """The tokens that each feature's decoder row promotes and suppresses, by side and rank."""
        folder = self.study.path("promoted", corpus=self.corpus, site=self.site)
        self._own(Document(folder / "promoted.json", "promoted"))
        return read_table(folder / "tokens.parquet", "promoted_tokens")

    @property
    def labels(self) -> pd.DataFrame:
        """Features in words, a row a feature, method and language, with what the label is worth."""
        path = self.study.path("descriptions", corpus=self.corpus, site=self.site)
        return pd.json_normalize(self._own(Document(path, "descriptions"))("rows"))

    def examples(
        self, features: Sequence[int], language: str, *, count: int = 10, split: str = "test"
    ) -> dict[int, list[dict[str, Any]]]:
        """Of any features, the samples of a split in which each fires strongest, token by token as in `rankings`."""
        features = np.asarray(features)
        self._check_ids(features)
        codes, tokens, dataset = (
            self.codes(language),
            self.study.tokens(language),
            self.study.dataset(language),
        )
        inside = np.isin(tokens.sample_ids, dataset["sample_id"][dataset["split"] == split])
        keep = inside[tokens.sample[codes.token]]
        found = top_examples(
            features,
            codes_of_features(codes, keep, features),
            codes.token[keep],
            tokens,
            dataset,
            count,
        )
        return {of["feature"]: of["examples"] for of in found}

    def _of(self, kind: str, language: str) -> Path:
        return self.study.path(kind, corpus=self.corpus, language=language, site=self.site)

    def _own(self, document: Document) -> Document:
        check_of_sae(document.path, "features", document("sae"), self.digest)
        return document

    def _check_ids(self, features: np.ndarray) -> None:
        if wrong := [feature for feature in features.tolist() if not 0 <= feature < self.weights.d_sae]:
            raise InputError(
                "features",
                found=wrong[0],
                expected=f"ids of 0 to {self.weights.d_sae - 1}",
                mend="take them from the tables of this SAE",
            )

    # what they do on texts and pictures of one's own

    def fires_on(
        self, captions: Sequence[str], language: str, *, image: str | Path = "", prompt: str | None = None
    ) -> pd.DataFrame:
        """The study's model reads captions of one's own: a row for each of their tokens and each feature that fires there.

        image: a picture that is shown before them, of the study's folder or any path. prompt: the study's, where none is given.
        Columns: sample (0, 1, … as the captions come), position, role, token, feature, activation; tokens of text alone.
        """
        self._check_model()
        samples = [
            self._sample(str(number), language, caption=caption, image=image, prompt=prompt)
            for number, caption in enumerate(captions)
        ]
        found = token_activations(
            self.study.model,
            samples,
            [self.site],
            select=Selection(roles=TEXT_ROLES),
            language=language,
            images=self._images(image),
        )
        codes = self.encode(found.at(self.site)).tocoo()
        told = found.tokens[["sample", "position", "role", "display"]].rename(columns={"display": "token"})
        rows = told.iloc[codes.row].reset_index(drop=True)
        return rows.assign(feature=codes.col, activation=codes.data)

    def steered(
        self,
        feature: int,
        strengths: Sequence[float],
        language: str,
        *,
        how: str = "steer",
        image: str | Path = "",
        prompt: str | None = None,
        max_new_tokens: int = 40,
    ) -> pd.DataFrame:
        """What the model writes while a feature is held up or down, a row a strength: strength, text (greedy).

        how: as in crosslens.interventions.edits, `steer` adds strength × the 99th percentile of the feature's activations on
        select, `clamp` holds it there, `amplify` multiplies what is there, `suppress` silences it whatever the strength.
        Edited are the tokens that the SAE has learned and all that is written, sinks spared.
        """
        self._check_ids(np.asarray([feature]))
        self._check_model()
        level = None
        if how in ("steer", "clamp", "neutralise"):
            level = [float(self._levels(language).high[feature])]
            if not level[0]:
                raise InputError(
                    f"feature {feature}",
                    found="no token of select on which it fires",
                    expected="a feature that fires there, so that its strength has a measure",
                    mend="take one that is live in `features`",
                )
        norm = self.codes(language).norm
        writer = Writer(
            self.study.model,
            roles=[role for role in self.study.settings["sae"]["roles"] if role != "generated"],
            images=self._images(image),
            max_new_tokens=max_new_tokens,
            batch=8,
            limit=SINK_FACTOR * float(np.median(norm)),
        )
        samples = [
            self._sample(f"strength {strength:g}", language, image=image, prompt=prompt)
            for strength in strengths
        ]
        change = of_features(self.weights, [feature], how, levels=level)
        texts = writer.write(samples, [Edit(self.site, change)], torch.tensor(list(strengths)).float())
        return pd.DataFrame({"strength": list(strengths), "text": [writer.text(ids) for ids in texts]})

    def _levels(self, language: str) -> Level:
        return levels_on_select(
            self.codes(language), self.study.tokens(language), self.study.dataset(language)
        )

    def _check_model(self) -> None:
        model = self.study.model
        sae_of_model(self.folder, model.name, self.study.settings["model"]["revision"], model.d_model)

    def _images(self, image: str | Path) -> Path | None:
        return (self.study.images or Path.cwd()) if image else None

    def _sample(
        self, name: str, language: str, *, image: str | Path, prompt: str | None, caption: str = ""
    ) -> Sample:
        own = self.study.settings["prompts"].get(language, "") if prompt is None else prompt
        # a file from here on, else one of the study's
        shown = str(Path(image).absolute()) if image and Path(image).is_file() else str(image)
        return Sample(name, caption, own, shown)
