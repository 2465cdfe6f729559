"""The correlation of two languages' effect sizes is recovered, and its nulls mean what they say."""

import numpy as np
import pytest
from gender_study import ENGLISH_ONLY, FEMALE, MALE, write_study
from scipy.sparse import csr_array
from test_gender_effects import run

from crosslens.errors import InputError
from crosslens.gender.cross_lingual import compare, cross_lingual_bias
from crosslens.pooling.images import ImageTable
from crosslens.tables.documents import read_json, read_table

FEATURES, IMAGES = 250, 300


def images(values, gender):
    ids = np.array([f"i{i:04d}" for i in range(len(gender))], dtype=object)
    return ImageTable(csr_array(values), ids, gender, np.full(len(gender), "", dtype=object))


def drawn(rho, rng, *, shared_noise=False, effect=1.0):
    """Two languages whose true d have correlation rho; `shared_noise`: both see the same picture content."""
    gender = np.array(["female", "male"], dtype=object)[np.arange(IMAGES) % 2]
    d = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=FEATURES).T * effect
    picture = rng.normal(size=(IMAGES, FEATURES))
    noise = [picture, picture if shared_noise else rng.normal(size=picture.shape)]
    tables = [images(50 + n + np.outer(gender == "female", x), gender) for n, x in zip(noise, d, strict=True)]
    return tables, d


def compared(tables, rng, **changes):
    features = np.arange(FEATURES)
    settings = {"live": features, "chosen": features[:20], "bootstraps": 60, "permutations": 100} | changes
    return compare(*tables, rng=rng, **settings)


def test_planted_correlation_is_recovered_and_lost_when_shuffled():
    rng = np.random.default_rng(0)
    tables, d = drawn(0.8, rng)
    found = compared(tables, rng)
    true = np.corrcoef(d)[0, 1]
    for method in ("pearson", "spearman"):
        told = found["live"][method]
        assert told["r"] == pytest.approx(true, abs=0.05)
        assert told["low"] < told["r"] < told["high"] and told["high"] - told["low"] < 0.1
        assert told["null"]["pairing"]["p"] < 0.03 and told["null"]["labels"]["p"] < 0.03
        assert told["null"]["pairing"]["mean"] == pytest.approx(0, abs=0.03)
    assert found["live"]["features"] == FEATURES and found["chosen"]["features"] == 20
    assert found["scatter"]["chosen"].count(True) == 20
    assert np.corrcoef(found["scatter"]["d"][0], d[0])[0, 1] > 0.98
    shuffled = [tables[0], ImageTable(tables[1].values[:, rng.permutation(FEATURES)], *_rest(tables[1]))]
    r = compared(shuffled, rng)["live"]["pearson"]
    assert abs(r["r"]) < 0.15 and r["null"]["pairing"]["p"] > 0.02


def _rest(table):
    return table.image_ids, table.gender, table.category, table.group


def test_same_pictures_without_gender_are_no_shared_bias():
    """The label null knows that two languages see the same pictures; the pairing null does not."""
    rng = np.random.default_rng(0)
    tables, _ = drawn(0.0, rng, shared_noise=True, effect=0.0)
    told = compared(tables, rng)["live"]["pearson"]
    assert told["r"] > 0.9
    assert told["null"]["pairing"]["p"] < 0.05 < told["null"]["labels"]["p"]
    assert told["null"]["labels"]["mean"] > 0.9


def test_only_images_labelled_in_both_languages_count():
    rng = np.random.default_rng(0)
    (first, second), _ = drawn(0.5, rng)
    gender = second.gender.copy()
    gender[:10], gender[10] = "unknown", "male" if gender[10] == "female" else "female"
    found = compared([first.rows(np.arange(5, IMAGES)[::-1].copy()), images(second.values, gender)], rng)
    assert sum(found["images"].values()) == found["groups"] == IMAGES - 10
    assert found["labels_disagree"] == 1
    nobody = compared([first, images(second.values, np.full(IMAGES, "unknown", dtype=object))], rng)
    assert nobody["live"]["tested"] is False and nobody["live"]["pearson"]["r"] is None
    assert "0 female and 0 male images" in nobody["live"]["because"]


def test_stage(study, tmp_path):
    effects = {language: run(study, tmp_path, language)[0] for language in ("en", "ar")}
    settings = {"conditions": ["prompt", "caption"], "bootstraps": 50, "permutations": 50, "seed": 0}
    inputs = {"effects": effects, "datasets": study.datasets, "tokens": study.tokens}
    for name in ("a.json", "b.json"):
        cross_lingual_bias(**inputs, codes=study.codes, out=tmp_path / name, **settings)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    document = read_json(tmp_path / "a.json", "cross_lingual")
    table = read_table(effects["en"], "gender_effects")
    for result in document["results"]:
        assert result["live"]["pearson"]["r"] > 0.6 and result["chosen"]["spearman"]["r"] > 0.5
        scatter = result["scatter"]
        rows = table[(table["condition"] == result["condition"]) & (table["split"] == "test")]
        d = rows.set_index("feature").loc[scatter["feature"], "d"].to_numpy()
        assert scatter["d"][0] == pytest.approx(d), "the same d as in the table of effects"
        chosen = {f for f, c in zip(scatter["feature"], scatter["chosen"], strict=True) if c}
        assert chosen >= {*FEMALE, *MALE} and chosen & {*ENGLISH_ONLY}


def test_codes_of_two_saes_and_missing_languages_are_refused(study, tmp_path):
    other = write_study(tmp_path / "other", images=9, captions=1, seed=0, sae="b" * 64)
    settings = {"conditions": ["prompt"], "bootstraps": 2, "permutations": 2, "seed": 0}
    effects = {"en": tmp_path / "none", "ar": tmp_path / "none"}
    inputs = {"datasets": study.datasets, "tokens": study.tokens, "out": tmp_path / "out.json"}
    with pytest.raises(InputError, match="joint SAE"):
        codes = {"en": study.codes["en"], "ar": other.codes["ar"]}
        cross_lingual_bias(effects=effects, codes=codes, **inputs, **settings)
    with pytest.raises(InputError, match="effects of every language"):
        cross_lingual_bias(effects={}, codes=study.codes, **inputs, **settings)
