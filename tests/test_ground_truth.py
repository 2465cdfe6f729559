"""The embedded study and its control, end to end, against what was planted. Minutes: `pytest -m long`.

What this checkout has built already is read from its store, not built again.
"""

import json
import re

import numpy as np
import pandas as pd
import pytest
from checkouts import REPOSITORY, Checkout
from scipy.stats import binom

from crosslens.interventions.ablation import measure, shared_samples
from crosslens.models.load import load_model
from crosslens.pooling.pool import pool_codes
from crosslens.sae.io import load_sae
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table
from crosslens.tables.tokens import read_tokens

pytestmark = pytest.mark.long

STUDIES = ("planted", "planted_control")
STEERING = (
    "steering: {{sites: ['{}'], strengths: [0.25, 0.5, 1], samples: 40, captions: 20, max_new_tokens: 28}}\n"
)
STEERED = {"planted": "6", "planted_control": "4"}
"""Where: of the sites that the study has the deepest."""
PAGES = [f"results/{study}/report/index.html" for study in STUDIES]


@pytest.fixture(scope="module")
def studies(source, tmp_path_factory):
    """A checkout in which both studies of the repository are built."""
    folder = tmp_path_factory.mktemp("truth") / "checkout"
    checkout = Checkout.create(folder, source, store=f"results/.store:{REPOSITORY / 'results/.store'}")
    (folder / "resources/planted_control").symlink_to(REPOSITORY / "resources/planted_control")
    for study in STUDIES:
        settings = (REPOSITORY / f"config/studies/{study}.yaml").read_text(encoding="utf-8")
        (folder / f"config/studies/{study}.yaml").write_text(
            settings + STEERING.format(STEERED[study]), encoding="utf-8"
        )
    checkout.snakemake(*PAGES)
    return folder


def documents(folder, pattern):
    """Path and content of every JSON document that matches."""
    found = sorted((folder / "results").glob(pattern))
    assert found, f"nothing at {pattern}"
    return [(path, json.loads(path.read_text(encoding="utf-8"))) for path in found]


def test_measured_bias_is_the_planted_one_in_both_languages(studies):
    ((_, stereotype),) = documents(studies, "planted/gender/stereotype.json")
    page = (studies / PAGES[0]).read_text(encoding="utf-8")
    for language in ("en", "ar"):
        truth = stereotype["languages"][language]["planted"]
        assert truth["r"] >= 0.95, language
        assert truth["mae"] <= 0.06, language
        assert stereotype["languages"][language]["differences"]["p"] < 0.05, language
        assert f'<data value="{truth["r"]!r}">' in page


def test_the_control_model_is_found_without_bias(studies):
    ((_, stereotype),) = documents(studies, "planted_control/gender/stereotype.json")
    for language, found in stereotype["languages"].items():
        occupations = found["categories"]
        beyond = [name for name, share in occupations.items() if share["p"] < 0.05]
        assert len(beyond) <= binom.ppf(0.95, len(occupations), 0.05), (language, beyond)
        tested = [*occupations.values(), *(share["difference"] for share in occupations.values())]
        assert all(share["q"] is None or share["q"] > 0.05 for share in tested), language
        assert found["differences"]["p"] > 0.05, language


def test_the_planted_model_finds_pictures_and_hardly_any_words(studies):
    """It was trained on captions of pictures: without them it does not read what a caption says, whatever R@1 is with them."""
    for path, document in documents(studies, "planted/alignment/retrieval/layer_*.json"):
        for row in document["pairs"][0]["retrieval"]:
            if row["centred"] and row["read"] == "alone":
                assert row["r1"]["value"] < 0.1, path


def pooled(studies, language, site, split="test"):
    """(images of a split, F) each feature's mean activation over a caption, and the images' rows of the source."""
    results = studies / "results/planted"
    dataset = read_table(results / f"dataset/{language}.parquet", "dataset")
    dataset = dataset[dataset["split"] == split]
    tokens = read_tokens(sorted((results / f"activations/{language}/tokens").iterdir()))
    codes = Codes(results / f"codes/joint/{language}/layer_{site}.zarr")
    found = pool_codes(codes, tokens, dataset, condition="caption", mask_labels=False)
    source = pd.read_csv(results / "source/captions.csv").set_index("image_id")
    return found.values.toarray(), source.loc[[sample.split("#")[0] for sample in found.sample_ids]]


def telling_objects(studies, site, split="test"):
    """Features of Arabic captions, those first that tell the grammatical gender of the object best."""
    z, source = pooled(studies, "ar", site, split)
    feminine = (source["object_gender"] == "feminine").to_numpy()
    spread = z.std(axis=0)
    r = np.where(
        spread > 0, (z[feminine].mean(axis=0) - z[~feminine].mean(axis=0)) / np.maximum(spread, 1e-9), 0
    )
    return np.argsort(-np.abs(r))


@pytest.mark.parametrize("site", ["4", "6"])
def test_the_agreement_with_the_object_is_arabic_alone(studies, site):
    """An Arabic adjective agrees with its noun's gender, of which English has none: what tells it best is not shared."""
    folder = studies / f"results/planted/alignment/sharing/joint/layer_{site}"
    table = read_table(folder / "features.parquet", "feature_sharing").set_index("feature")
    for feature in telling_objects(studies, site)[:2]:
        assert table.loc[feature, "specific"] == "ar" and not table.loc[feature, "shared"]


def test_features_of_a_gender_promote_its_words_where_the_model_is_about_to_say_them(studies):
    """Of the last site's gendered features, most of those that name a gendered word promote their own or suppress the other's."""
    words = {
        "female": {"woman", "female", "her", "she", "امرأة", "إنها", "هي"},
        "male": {"man", "male", "his", "he", "رجل", "إنه", "هو"},
    }
    table = read_table(
        studies / "results/planted/lens/promoted/joint/layer_6/tokens.parquet", "promoted_tokens"
    )
    token = table["token"].str.strip()
    named = token.isin(words["female"]).astype(int) - token.isin(words["male"]).astype(int)
    towards = (named * np.where(table["side"] == "promoted", 1, -1)).groupby(table["feature"]).sum()
    for language in ("en", "ar"):
        effects = pd.read_parquet(
            studies / f"results/planted/gender/joint/{language}/layer_6/effects.parquet"
        )
        for condition in ("prompt", "caption"):
            rows = effects[(effects["condition"] == condition) & (effects["split"] == "test")]
            gendered = rows[rows["significant"]].set_index("feature")["d"]
            sign = np.sign(gendered) * np.sign(towards.reindex(gendered.index))
            agree, against = int((sign > 0).sum()), int((sign < 0).sum())
            assert agree >= 0.75 * (agree + against) and binom.sf(agree - 1, agree + against, 0.5) < 1e-3


def test_without_the_agreement_with_the_object_arabic_pays_and_english_does_not(studies):
    """The feature that tells it best on select is ablated, beside random ones that fire as often in Arabic."""
    results, site = studies / "results/planted", "4"
    feature = int(telling_objects(studies, site, "select")[0])
    folder = results / f"alignment/sharing/joint/layer_{site}"
    rate = read_table(folder / "features.parquet", "feature_sharing").set_index("feature")[
        "token_rate_second"
    ]
    near = rate.index[(rate >= rate[feature] / 2) & (rate <= rate[feature] * 2)].drop(feature)
    beside = np.random.default_rng(0).choice(near, 20, replace=False).tolist()
    frames = shared_samples({name: results / f"dataset/{name}.parquet" for name in ("en", "ar")}, 60, 0)
    loaded = load_model(str(REPOSITORY / "resources/planted"), device="cpu")
    decoder = load_sae(results / f"sae/joint/layer_{site}/seed_0").W_dec
    cost = {}
    for language, frame in frames.items():
        asked = (loaded, site, frame, results / "source/images", 20, ["prompt", "caption"], decoder)
        losses = measure(*asked, [feature, *beside])
        more = losses.filter(regex=r"^ce_\d+$").sub(losses["ce_clean"], axis=0)
        cost[language] = more.sum() / losses["tokens"].sum()
    own, other = (cost[language][f"ce_{feature}"] for language in ("ar", "en"))
    assert own > 0.002 and abs(other) < own / 5
    assert own > cost["ar"].drop(f"ce_{feature}").quantile(0.75)


def test_what_the_picture_decides_is_shared_the_more_the_deeper(studies):
    """Both captions are of one scene: late features of it fire alike in both, early ones are words of one language."""
    shares = []
    for site in ("2", "4", "6"):
        folder = studies / f"results/planted/alignment/sharing/joint/layer_{site}"
        (pair,) = json.loads((folder / "sharing.json").read_text())["pairs"]
        assert pair["shared"]["p"] < 0.01 and pair["shared"]["mean"] < 1
        shares.append(pair["shared"]["found"] / pair["shared"]["features"])
    assert shares == sorted(shares) and shares[-1] > 2 * shares[0]


@pytest.mark.parametrize("study", STUDIES)
def test_shuffled_labels_call_no_more_features_than_the_discovery_rate(studies, study):
    for path, document in documents(studies, f"{study}/gender/*/*/layer_*/gender.json"):
        for condition, found in document["conditions"].items():
            assert found["null"]["mean"] <= document["alpha"] * max(found["testable"], 1), (path, condition)


def test_gender_can_be_read_off_but_not_perfectly(studies):
    for path, document in documents(studies, "planted/gender/activations/*/probe/layer_*.json"):
        for condition, found in document["conditions"].items():
            assert 0.85 < found["auroc"]["value"] < 1.0, (path, condition)


def test_the_dictionaries_pass_their_gates_and_the_identity_splice_is_exact(studies):
    for path, quality in documents(studies, "planted/quality/*/*/layer_*.json"):
        assert all(gate["passed"] for gate in quality["gates"].values()), path
        assert quality["ev"] > quality["baselines"]["token_mean"]["ev"], path
    for path, spliced in documents(studies, "planted/quality/*/*/spliced/layer_*.json"):
        assert spliced["identity"]["max_abs_logit_difference"] == 0, path
        assert spliced["ce_recovered"]["zero"]["value"] > 0.98, path


def test_two_jobs_at_a_time_stay_within_three_gigabytes(studies):
    stores = [studies / "results/.store", REPOSITORY / "results/.store"]
    peaks = [
        int(peak)
        for store in stores
        for record in store.glob("actions/*/*.json")
        for peak in re.findall(r'"peak_megabytes": (\d+)', record.read_text(encoding="utf-8"))
    ]
    assert peaks and sum(sorted(peaks)[-2:]) < 3000


def steered(studies, study):
    """Language -> what is told of steering it."""
    ((_, document),) = documents(studies, f"{study}/interventions/steering/joint/layer_*/steering.json")
    return document["of"]


def by_attribution(of, language):
    """The arm of the features to which a language's own outcome is attributed."""
    (arm,) = [arm for arm in of["arms"] if (arm["method"], arm["found_in"]) == ("attribution", language)]
    return arm


def test_gender_is_steered_on_pictures_that_hide_it_and_captions_stay_captions(studies):
    """On test, beside 95 % of the random sets: five times as far where all get the same multiple of their features' percentiles,
    twice as far where all are as long (random features of this model tell gender, too)."""
    for language, of in steered(studies, "planted").items():
        arm = by_attribution(of, language)
        random = arm["random"]
        assert random["same_activations"]["ratio"] >= 5 and random["same_length"]["ratio"] >= 2, language
        assert random["same_length"]["p"] == random["same_length"]["least_p"]
        assert arm["moved"]["low"] > 0.2 and arm["anti_steerable"] <= 0.05
        for way in ("female", "male"):
            assert arm["captions"][way]["valid"] >= 0.95, (language, way)
            assert arm["captions"][way]["isolation"] >= 0.8, (language, way)
        assert all(arm["changes"] for arm in of["arms"])


def test_the_planted_spread_over_occupations_shrinks_and_the_control_has_none(studies):
    planted, control = (steered(studies, study) for study in STUDIES)
    for language, of in planted.items():
        neutral = by_attribution(of, language)["neutralised"]
        assert neutral["removed"]["low"] > 0, language
        assert neutral["left"]["value"] < min(neutral["random_q05"], 0.75 * of["left"]["value"]), language
        assert control[language]["left"]["value"] < of["left"]["value"] / 4, language
        # nothing to remove
        removed = by_attribution(control[language], language)["neutralised"]["removed"]["value"]
        assert abs(removed) < neutral["removed"]["value"] / 2, language
