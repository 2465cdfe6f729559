"""Transfer of the gender direction on studies in which it is known what the languages share."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from world import Token, World, tokens_of, write_corpus, write_site

from crosslens.errors import InputError
from crosslens.gender.transfer import METHODS, Language, Scores, gender_transfer, scored, transfer
from crosslens.pooling.images import ImageTable
from crosslens.stats.nulls import null_band
from crosslens.tables.documents import read_json, write_table

WIDTH, CAPTIONS = 12, 2
WORDS = ["woman", "reads", "books"]


class Bilingual(World):
    """English and Arabic captions of the same images."""

    frame: pd.DataFrame
    values: dict[str, np.ndarray]
    """(samples, 4, d): prompt token and three words, of which the first is the label word."""

    def run(self, out: Path, conditions=("caption",), **changed) -> dict:
        settings = {"permutations": 200, "seed": 0} | changed
        gender_transfer(**self.inputs, conditions=list(conditions), **settings, out=out)
        return read_json(out, "gender_transfer")["conditions"]


def write_bilingual(
    root: Path, *, gender: dict, label: float = 0.0, offset=0.0, shared=0.0, images=180
) -> Bilingual:
    """English and Arabic captions of the same images.

    gender: language -> (d) added to every word but the label word of pictures of women; label: added to the first channel
    of the label word alone; offset: added to all of Arabic; shared: size of what an image's captions share.
    """
    rng = np.random.default_rng(0)
    index = np.arange(images)
    frame = pd.DataFrame(
        {"image_id": [f"i{i:03d}" for i in index], "category": "", "caption": " ".join(WORDS)}
    )
    frame["gender"] = np.array(["female", "male", "female", "male", "unknown"], dtype=object)[index % 5]
    frame["split"] = np.array(["train", "test", "select"], dtype=object)[index // 5 % 3]
    frame = frame.loc[frame.index.repeat(CAPTIONS)].reset_index(drop=True)
    frame.insert(0, "sample_id", [f"{i}#{k % CAPTIONS}" for k, i in enumerate(frame["image_id"])])
    frame["label_spans"] = json.dumps([[0, 5]])
    n = len(frame)
    female = (frame["gender"] == "female").to_numpy()[:, None, None]
    common = shared * rng.normal(size=(images, 1, WIDTH)).repeat(CAPTIONS, axis=0)
    study = Bilingual()
    study.frame, study.values = frame, {}
    samples = dict.fromkeys(frame["sample_id"], [Token("prompt", 0, 3), *tokens_of("caption", WORDS)])
    for language, direction in gender.items():
        x = rng.normal(size=(n, 4, WIDTH)) + common + (offset if language == "ar" else 0.0)
        x[:, 2:] += female * np.asarray(direction)
        x[:, 1, 0] += label * female[:, 0, 0]
        study[language] = write_corpus(root, frame, samples, x.reshape(4 * n, WIDTH), language=language)
        study.values[language] = x.astype(np.float32)
    return study


def channel(i: int, size: float = 2.0) -> np.ndarray:
    return size * np.eye(WIDTH)[i]


def auroc(results: dict, source: str, target: str, method: str = "difference_of_means") -> dict:
    (found,) = [
        row
        for row in results["transfer"]
        if (row["source"], row["target"], row["method"]) == (source, target, method)
    ]
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    study = write_bilingual(tmp_path_factory.mktemp("shared"), gender={"en": channel(0), "ar": channel(0)})
    return study, study.run(study.datasets["en"].parent / "out.json", ["caption", "caption_whole", "prompt"])


@pytest.mark.parametrize("method", ["difference_of_means", "logistic"])
def test_a_shared_direction_transfers(shared, method):
    results = shared[1]["caption"]
    for source, target in (("en", "en"), ("en", "ar"), ("ar", "en"), ("ar", "ar")):
        found = auroc(results, source, target, method)
        assert found["auroc"]["value"] > 0.95 and found["auroc"]["low"] > 0.8
        assert found["null"]["p"] < 0.02
        assert found["n"] == {"female": 24, "male": 24}
    (cosine,) = results["cosine"]
    assert cosine["value"] > 0.9 and cosine["null"]["p"] < 0.02
    for language in ("en", "ar"):
        direction = results["languages"][language]["direction"]
        assert direction["relative_norm"] > direction["null"]["q975"] and direction["null"]["p"] < 0.01


def test_numbers_are_those_of_a_computation_by_hand(shared):
    study, results = shared
    frame, labelled = study.frame, study.frame["gender"] != "unknown"
    images = {}
    for language, x in study.values.items():
        pooled = pd.DataFrame(x[:, 2:].astype(np.float64).mean(axis=1)).groupby(frame["image_id"]).mean()
        images[language] = pooled
    by_image = frame[labelled].groupby("image_id")[["gender", "split"]].first()
    train, test = (by_image[by_image["split"] == split] for split in ("train", "test"))
    directions = {}
    for language, pooled in images.items():
        of = {g: pooled.loc[train.index[train["gender"] == g]].mean() for g in ("female", "male")}
        directions[language] = of["female"] - of["male"]
    for source in ("en", "ar"):
        for target in ("en", "ar"):
            score = images[target].loc[test.index] @ directions[source]
            expected = roc_auc_score(test["gender"] == "female", score)
            assert auroc(results["caption"], source, target)["auroc"]["value"] == pytest.approx(expected)
    cosine = (directions["en"] @ directions["ar"]) / np.prod([np.linalg.norm(d) for d in directions.values()])
    assert results["caption"]["cosine"][0]["value"] == pytest.approx(cosine)
    everyone = images["ar"].loc[frame.loc[frame["split"] == "train", "image_id"].unique()]
    spread = np.sqrt(np.trace(np.cov(everyone.T, ddof=0)))
    described = results["caption"]["languages"]["ar"]["direction"]
    assert described["norm"] == pytest.approx(np.linalg.norm(directions["ar"]))
    assert described["relative_norm"] == pytest.approx(np.linalg.norm(directions["ar"]) / spread)


def test_nothing_is_read_where_nothing_is_planted(shared):
    results = shared[1]["prompt"]
    for row in results["transfer"]:
        assert 0.25 < row["auroc"]["value"] < 0.75 and row["null"]["p"] > 0.01
    assert results["label_words"] == "none are read"


def test_orthogonal_directions_do_not_transfer(tmp_path):
    study = write_bilingual(tmp_path, gender={"en": channel(0), "ar": channel(1)})
    results = study.run(tmp_path / "out.json")["caption"]
    for method in ("difference_of_means", "logistic"):
        assert all(auroc(results, a, a, method)["auroc"]["value"] > 0.95 for a in ("en", "ar"))
        for pair in (("en", "ar"), ("ar", "en")):
            found = auroc(results, *pair, method)
            assert found["auroc"]["low"] < 0.6 and 0.25 < found["auroc"]["value"] < 0.75
    (cosine,) = results["cosine"]
    assert abs(cosine["value"]) < 0.3 and cosine["null"]["p"] > 0.01


def test_an_offset_of_a_language_changes_nothing(shared, tmp_path):
    moved = write_bilingual(tmp_path, gender={"en": channel(0), "ar": channel(0)}, offset=100.0)
    results = moved.run(tmp_path / "out.json")["caption"]
    for row in results["transfer"]:
        before = auroc(shared[1]["caption"], row["source"], row["target"], row["method"])
        assert row["auroc"]["value"] == pytest.approx(before["auroc"]["value"], abs=0.01)
    assert results["cosine"][0]["value"] == pytest.approx(
        shared[1]["caption"]["cosine"][0]["value"], abs=1e-4
    )


def test_transfer_may_work_one_way_only_and_an_area_that_any_direction_reaches_is_no_finding(tmp_path):
    """English: gender in channel 0 alone. Arabic: as strong there, far stronger in a channel that is noise in English.

    Nearly every direction has some of that channel, and tells gender in Arabic as well as the English one does.
    """
    gender = {"en": channel(0, 3.0), "ar": channel(0, 3.0) + channel(1, 20.0)}
    results = write_bilingual(tmp_path, gender=gender).run(tmp_path / "out.json")["caption"]
    there, back = auroc(results, "en", "ar"), auroc(results, "ar", "en")
    assert there["auroc"]["value"] > 0.95 and p_of(there) > 0.05 and there["null"]["high"] > 0.99
    assert back["auroc"]["value"] < there["auroc"]["low"] and back["auroc"]["value"] < 0.8


def test_an_opposite_direction_is_found_below_one_half(tmp_path):
    study = write_bilingual(tmp_path, gender={"en": channel(0), "ar": -channel(0)})
    results = study.run(tmp_path / "out.json")["caption"]
    found = auroc(results, "en", "ar")
    assert found["auroc"]["high"] < 0.1 and found["null"]["p"] < 0.02
    assert results["cosine"][0]["value"] < -0.9 and results["cosine"][0]["null"]["p"] < 0.02


def test_label_words_count_in_the_whole_caption_alone(tmp_path):
    nothing = {"en": np.zeros(WIDTH), "ar": np.zeros(WIDTH)}
    study = write_bilingual(tmp_path, gender=nothing, label=6.0)
    results = study.run(tmp_path / "out.json", ["caption", "caption_whole"])
    for row in results["caption"]["transfer"]:
        assert 0.25 < row["auroc"]["value"] < 0.75
    assert all(row["auroc"]["value"] > 0.95 for row in results["caption_whole"]["transfer"])
    assert results["caption_whole"]["lexical"] and not results["caption"]["lexical"]


def test_what_the_languages_share_without_gender_is_in_the_null_of_the_cosine(tmp_path):
    """Captions of one image are alike in both languages: any split of the images gives alike directions."""
    nothing = {"en": np.zeros(WIDTH), "ar": np.zeros(WIDTH)}
    study = write_bilingual(tmp_path, gender=nothing, shared=5.0)
    (cosine,) = study.run(tmp_path / "out.json")["caption"]["cosine"]
    assert cosine["null"]["mean"] > 0.9 and cosine["null"]["p"] > 0.05


def test_samples_without_another_word_are_counted(tmp_path):
    study = write_bilingual(tmp_path, gender={"en": channel(0), "ar": channel(0)})
    frame = study.frame.copy()
    only = frame["image_id"].isin(["i000", "i001"]) | (frame["sample_id"] == "i005#1")
    frame.loc[only, "label_spans"] = json.dumps([[0, 17]])
    write_table(study.datasets["ar"], "dataset", frame)
    results = study.run(tmp_path / "out.json", ["caption", "caption_whole"])
    arabic = results["caption"]["languages"]["ar"]
    assert arabic["train"]["dropped_samples"] == 4 and arabic["test"]["dropped_samples"] == 1
    assert (arabic["train"]["female"], arabic["train"]["male"]) == (23, 23)
    assert results["caption"]["languages"]["en"]["train"]["dropped_samples"] == 0
    assert results["caption_whole"]["languages"]["ar"]["train"]["dropped_samples"] == 0


def test_too_few_images_of_a_gender_are_undefined_not_guessed(tmp_path):
    study = write_bilingual(tmp_path, gender={"en": channel(0), "ar": channel(0)})
    frame = study.frame.copy()
    frame.loc[frame["gender"] == "female", "gender"] = "unknown"
    write_table(study.datasets["ar"], "dataset", frame)
    results = study.run(tmp_path / "out.json")["caption"]
    for row in results["transfer"]:
        assert (row["auroc"] is None) == ("ar" in (row["source"], row["target"]))
    assert results["cosine"][0]["value"] is None
    assert results["languages"]["ar"]["direction"]["norm"] is None


def languages(rng, *, source_female, n=60) -> dict[str, Language]:
    """Gender along the first channel, which is also the widest, in "b" and, by `source_female`, in the labels of "a"."""
    told = {}
    for language in ("a", "b"):
        tables = []
        for part in range(2):
            female = np.arange(n) % 2 == 0
            x = rng.normal(size=(n, WIDTH)) + 4 * female[:, None] * np.eye(WIDTH)[0]
            known = source_female(female, rng) if language == "a" and part == 0 else female
            ids = np.array([f"{part}{i:03d}" for i in range(n)], dtype=object)
            gender = np.where(known, "female", "male").astype(object)
            tables.append(ImageTable(x, ids, gender, np.full(n, "", dtype=object)))
        told[language] = Language(*tables, dropped={"train": 0, "test": 0})
    return told


def p_of(found):
    """1 where random directions are so often as far from .5 as can be that nothing was tested."""
    band = (found["null"]["low"], found["null"]["high"])
    assert found["tested"] == (found["null"]["p"] is not None) == (band != (0.0, 1.0))
    return found["null"]["p"] if found["tested"] else 1.0


def test_labels_that_teach_nothing_are_not_significant_though_gender_is_the_widest_axis():
    """Any direction tells gender in such a target, for better or worse; the labels of the source are no part of it."""
    extreme, p = 0, {method: [] for method in METHODS}
    for trial in range(24):
        pooled = languages(
            np.random.default_rng(trial), source_female=lambda female, rng: rng.permutation(female), n=40
        )
        told = transfer(pooled, permutations=79, seed=trial, name="caption")
        for method in METHODS:
            found = auroc(told, "a", "b", method)
            p[method].append(p_of(found))
            extreme += not 0.2 < found["auroc"]["value"] < 0.8
    assert extreme > 12
    for values in p.values():
        assert np.mean(np.array(values) < 0.05) <= 0.15


def test_labels_that_teach_are_significant_in_the_same_target():
    pooled = languages(np.random.default_rng(0), source_female=lambda female, rng: female)
    told = transfer(pooled, permutations=999, seed=0, name="caption")
    for method in METHODS:
        found = auroc(told, "a", "b", method)
        assert found["null"]["p"] < 0.05 and found["auroc"]["value"] > found["null"]["high"]


def unrelated(
    rng, *, d: int, spectrum: float, strength: float, alike: float | None, n=60
) -> dict[str, Language]:
    """Two languages that vary alike, as channel^-spectrum, each with a strong gender direction of its own.

    strength: distance of the genders in standard deviations along it; alike: cosine of the two, None for what chance gives.
    """
    spread = np.arange(1.0, d + 1) ** -spectrum
    first, second = rng.normal(size=(2, d)) * spread ** rng.integers(0, 2, size=(2, 1))
    first /= np.linalg.norm(first)
    second /= np.linalg.norm(second)
    if alike is not None:
        rest = second - second @ first * first
        second = alike * first + np.sqrt(1 - alike**2) * rest / np.linalg.norm(rest)
    told = {}
    for language, direction in (("a", first), ("b", second)):
        tables = []
        for part in range(2):
            female = np.arange(n) % 2 == 0
            along = strength * np.linalg.norm(direction * spread) * direction
            x = rng.normal(size=(n, d)) * spread + female[:, None] * along
            ids = np.array([f"{part}{i:03d}" for i in range(n)], dtype=object)
            gender = np.where(female, "female", "male").astype(object)
            tables.append(ImageTable(x, ids, gender, np.full(n, "", dtype=object)))
        told[language] = Language(*tables, dropped={"train": 0, "test": 0})
    return told


def rejections(trials: int, permutations: int, **world) -> dict[str, tuple[float, float]]:
    """Method -> shares of trials with p at most .05: of all, and of an AUROC above .5; from a to b and back."""
    p, above = ({method: [] for method in METHODS} for _ in range(2))
    for trial in range(trials):
        pooled = unrelated(np.random.default_rng([trial, world["d"]]), **world)
        told = transfer(pooled, permutations=permutations, seed=trial, name="caption")
        for method in METHODS:
            for pair in (("a", "b"), ("b", "a")):
                found = auroc(told, *pair, method)
                p[method].append(p_of(found))
                above[method].append(found["auroc"]["value"] > 0.5)
                inside = (
                    found["null"]["low"] - 1e-9 <= found["auroc"]["value"] <= found["null"]["high"] + 1e-9
                )
                assert inside == (p_of(found) > 0.05), "found exactly outside of the band that is shown"
    return {
        method: (np.mean(np.array(p[method]) <= 0.05), np.mean((np.array(p[method]) <= 0.05) & above[method]))
        for method in METHODS
    }


def test_strong_but_unrelated_directions_are_no_transfer():
    """Each language tells its genders apart; the direction of the other tells them at nominal .05, shared it is found."""
    world = {"d": 40, "spectrum": 0.7, "strength": 4.0}
    for both, upper in rejections(20, 79, **world, alike=None).values():
        assert both <= 0.125 and upper <= 0.1
    for _, upper in rejections(5, 79, **world, alike=1.0).values():
        assert upper >= 0.6


@pytest.mark.long
@pytest.mark.parametrize("d", [12, 60, 300])
@pytest.mark.parametrize("spectrum", [0.0, 0.7])
@pytest.mark.parametrize("strength", [1.5, 4.0])
def test_rejections_of_unrelated_directions_over_the_grid(d, spectrum, strength):
    """At most .06 of both tails and .035 of the upper one, within three standard errors of 200 trials in both directions."""
    found = rejections(100, 199, d=d, spectrum=spectrum, strength=strength, alike=None)
    print(d, spectrum, strength, found)
    for both, upper in found.values():
        assert both <= 0.06 + 3 * np.sqrt(0.06 * 0.94 / 200) and upper <= 0.035 + 3 * np.sqrt(0.035 / 200)


def test_band_and_interval_of_scores():
    """The wider of two bands and the larger of two p, by counting."""
    rng = np.random.default_rng(0)
    female = np.arange(40) % 2 == 0
    learned = np.round(rng.normal(size=40) + 0.6 * female, 1)
    random = [
        np.round(rng.normal(size=(40, 499)) + size * female[:, None] * rng.normal(size=499), 1)
        for size in (0, 1)
    ]
    found = scored(Scores(learned, random), female)
    assert found["auroc"]["value"] == pytest.approx(roc_auc_score(female, learned))
    pairs = [some[female][:, None] - some[~female][None] for some in random]
    away = [np.abs((np.sign(pair) / 2).mean(axis=(0, 1))) for pair in pairs]
    p = [(1 + np.sum(some >= abs(found["auroc"]["value"] - 0.5) - 1e-12)) / 500 for some in away]
    assert found["null"]["p"] == pytest.approx(max(p)) and p[0] < p[1]
    # with 24 of 499 as far away p is .05
    assert found["null"]["high"] == pytest.approx(0.5 + np.sort(away[1])[-25])
    assert found["null"]["low"] == pytest.approx(1 - found["null"]["high"])


def test_p_values_of_a_null():
    null = np.arange(99.0)
    assert null_band(null, 200.0)["p"] == pytest.approx(2 / 100)
    assert null_band(null, -5.0)["p"] == pytest.approx(2 / 100)
    assert null_band(null, -5.0, tails=1)["p"] == 1 and null_band(null, 200.0, tails=1)["p"] == 1 / 100
    assert null_band(null, 49.0)["p"] == 1
    assert null_band(null, None)["p"] is None


def test_bad_input_is_named(shared, tmp_path):
    study = shared[0]
    with pytest.raises(InputError, match="caption_hole"):
        study.run(tmp_path / "out.json", ["caption_hole"])
    given = study.inputs
    rest = {
        "conditions": ["caption"],
        "permutations": 1,
        "seed": 0,
        "out": tmp_path / "o.json",
    }
    with pytest.raises(InputError, match="those of the activations"):
        gender_transfer(**given | {"tokens": {"en": study.tokens["en"]}}, **rest)
    other = write_site(tmp_path / "other.zarr", np.ones((1, WIDTH)), language="ar", site="5")
    with pytest.raises(InputError, match="site '5'"):
        gender_transfer(**given | {"activations": study.activations | {"ar": [other]}}, **rest)


def test_same_seed_same_bytes(shared, tmp_path):
    for name in ("a", "b"):
        shared[0].run(tmp_path / name, permutations=20)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_shuffles_of_groups_keep_them_whole_and_languages_agree_on_them():
    """Of six people with four pictures each, and four pairs: what is shuffled is people, and the order of pairs."""
    from crosslens.gender.transfer import _shuffled

    group = np.array([f"p{i // 4}" for i in range(24)] + [f"q{i // 2}" for i in range(8)], dtype=object)
    female = np.array([i // 4 % 2 == 0 for i in range(24)] + [i % 2 == 0 for i in range(8)])
    gender = np.where(female, "female", "male").astype(object)
    ids = np.array([f"i{i:02d}" for i in range(32)], dtype=object)
    table = ImageTable(np.arange(64.0).reshape(32, 2), ids, gender, np.full(32, "", dtype=object), group)
    units = table.by_group()
    assert len(units) == 6 + 8
    shuffled = _shuffled(units, 300, 0, "caption")
    singles = np.array([str(name).startswith("p") for name in units.group])
    assert (shuffled[singles].sum(axis=0) == 3).all()
    for pair in {*units.group[~singles]}:
        inside = shuffled[units.group == pair]
        assert (inside.sum(axis=0) == 1).all() and 0.4 < inside[0].mean() < 0.6
    fewer = units.rows(np.flatnonzero(units.group != "p5"))
    again = _shuffled(fewer, 300, 0, "caption")[~singles[units.group != "p5"]]
    assert np.array_equal(again, shuffled[~singles]), (
        "a language that lacks a picture shuffles the others alike"
    )
