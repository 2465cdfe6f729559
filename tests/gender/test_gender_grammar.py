"""Features that are semantic, grammatical, both, of one noun or of word length by construction are called what they are."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from world import table_of, tokens_of, write_dense_codes

from crosslens.gender.grammar import measure_grammar, read_words
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_json, write_table
from crosslens.tables.roles import CAPTION
from crosslens.tables.tokens import read_tokens, write_tokens

FEMININE = "سيارة زهرة حقيبة ساعة تفاحة طاولة صورة شجرة شمس يد".split()
MASCULINE = "كتاب مفتاح هاتف كوب كرسي قميص باب قلم مصباح صندوق".split()
PERSON = {"female": "معلمة", "male": "معلم", "unknown": "معلم"}
SEMANTIC, GRAMMATICAL, BOTH, ONE_NOUN, LENGTH, MASKED, NOISE = range(7)
KINDS = {
    SEMANTIC: "semantic",
    GRAMMATICAL: "grammatical",
    BOTH: "both",
    ONE_NOUN: "few_words",
    LENGTH: "neither",
    MASKED: "untested",
}
FEATURES = 40


def study(folder, *, seed=0, planted=True, nouns=(FEMININE, MASCULINE), people=150):
    """A person (masked), "في", and three nouns a text; feminine nouns have three tokens more often than masculine ones."""
    rng = np.random.default_rng(seed)
    long = {
        noun: 1 + 2 * (rng.random() < (0.6 if noun in FEMININE else 0.4)) for noun in FEMININE + MASCULINE
    }
    rows, samples, codes = [], {}, []
    every = [*nouns[0], *nouns[1]]
    for i in range(people):
        gender = ("female", "male", "unknown")[i % 3]
        chosen = rng.choice(every, 3, replace=False)
        words = [PERSON[gender], "في", *chosen]
        caption = " ".join(words)
        tokens = tokens_of("prompt", ["what", "is", "there", "to", "be", "seen"])
        codes.append(rng.exponential(size=(len(tokens), FEATURES)))
        for token, word in zip(tokens_of("caption", words), words, strict=True):
            pieces = long.get(word, 1)
            cuts = [token.start, *(token.start + k for k in range(1, pieces)), token.end]
            tokens += [token._replace(start=a, end=b) for a, b in zip(cuts, cuts[1:], strict=False)]
            fires = rng.exponential(size=(pieces, FEATURES)) * (rng.random((pieces, FEATURES)) < 0.5)
            if planted:
                female, feminine = gender == "female", word in FEMININE
                fires[:, SEMANTIC] *= 1 + 4 * female
                fires[:, GRAMMATICAL] *= 1 + 4 * feminine
                fires[:, BOTH] *= 1 + 4 * female + 4 * feminine
                fires[:, ONE_NOUN] = 9.0 * (word == "سيارة")
                fires[:, LENGTH] = pieces + 0.1 * rng.random(pieces)
                fires[:, MASKED] = 5.0 * (word == "معلمة")
            codes.append(fires)
        rows.append(
            {
                "sample_id": f"s{i}",
                "image_id": f"s{i}",
                "group": f"s{i}",
                "caption": caption,
                "gender": gender,
                "split": "test",
                "label_spans": json.dumps([[0, len(words[0])]]),
            }
        )
        samples[f"s{i}"] = tokens
    write_table(folder / "dataset.parquet", "dataset", pd.DataFrame(rows))
    write_tokens(folder / "tokens.zarr", table_of(samples), language="ar")
    write_dense_codes(
        folder / "codes.zarr",
        np.concatenate(codes).astype(np.float32),
        sae="a" * 64,
        roles=("prompt", "caption"),
        language="ar",
    )
    effects = pd.DataFrame({"feature": [SEMANTIC, LENGTH], "condition": "caption", "split": "select"})
    write_table(folder / "effects.parquet", "gender_effects", effects.assign(significant=True))
    return folder


def measured(folder, permutations=999):
    measure_grammar(
        dataset=folder / "dataset.parquet",
        tokens=[folder / "tokens.zarr"],
        codes=folder / "codes.zarr",
        effects=folder / "effects.parquet",
        language="ar",
        alpha=0.05,
        permutations=permutations,
        seed=0,
        out_table=folder / "features.parquet",
        out=folder / "grammar.json",
    )
    return read_json(folder / "grammar.json", "grammar"), pq.read_table(
        folder / "features.parquet"
    ).to_pandas()


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = study(tmp_path_factory.mktemp("planted"))
    return folder, *measured(folder)


def test_each_feature_is_called_what_it_is(planted):
    _, document, table = planted
    assert {feature: table["kind"][feature] for feature in KINDS} == KINDS
    counts = document["classes"]["all"]["counts"]
    assert sum(counts.values()) == FEATURES - 1  # that of the masked word is not there
    assert document["classes"]["gendered"]["counts"] == {
        "semantic": 1, "grammatical": 0, "both": 0, "neither": 1, "few_words": 0
    }  # fmt: skip
    assert document["top"]["grammatical"][0]["feature"] == GRAMMATICAL
    assert document["grammatical"]["null"]["p"] <= 0.05 and document["semantic"]["null"]["p"] <= 0.05


def test_slopes_point_at_what_was_planted(planted):
    table = planted[2]
    assert table["b_semantic_low"][SEMANTIC] > max(0.1, abs(table["b_grammatical"][SEMANTIC]))
    assert table["b_grammatical_low"][GRAMMATICAL] > max(0.1, abs(table["b_semantic"][GRAMMATICAL]))
    assert table["b_pieces_low"][LENGTH] > 0.9 and abs(table["b_grammatical"][LENGTH]) < 0.05
    # one noun among ten: its many tokens do not make the interval of its grammar narrow
    assert table["b_grammatical_low"][ONE_NOUN] < 0


def test_a_words_activation_by_hand(planted):
    folder, document, _ = planted
    dataset = pd.read_parquet(folder / "dataset.parquet")
    table, codes = read_tokens(folder / "tokens.zarr"), Codes(folder / "codes.zarr")
    words = read_words(dataset, table, codes, "ar")
    assert words.frame["pieces"].isin([1, 3]).all() and len(words.frame) == 3 * len(dataset)
    assert document["words"]["read"] == document["words"]["things"] == 450
    second = dataset["caption"][0].split()[2]
    start = dataset["caption"][0].index(second)
    inside = (
        (table.sample == 0)
        & (table.role == CAPTION)
        & (table.char_start >= start)
        & (table.char_end <= start + len(second))
    )
    expected = codes.rows(0, len(codes)).toarray()[inside].mean(axis=0)
    np.testing.assert_allclose(words.values.toarray()[0], expected, rtol=1e-6)
    assert words.frame.loc[0, ["lemma", "feminine"]].tolist() == [second, second in FEMININE]


def test_nothing_planted_nothing_found(tmp_path):
    """Of four studies without any gender, one at most claims a feature of either kind."""
    claims = 0
    for seed in range(4):
        (folder := tmp_path / str(seed)).mkdir()
        document, _ = measured(study(folder, seed=seed + 1, planted=False, people=60), 299)
        claims += any(document[test]["significant"] for test in ("semantic", "grammatical"))
    assert claims <= 1


def test_too_few_nouns_are_not_tested(tmp_path):
    document, table = measured(study(tmp_path, nouns=(FEMININE[:3], MASCULINE[:6])), 99)
    assert (
        not document["grammatical"]["tested"]
        and "3 feminine nouns for things" in document["grammatical"]["because"]
    )
    assert document["classes"] == {"all": None, "gendered": None}
    assert table["p_grammatical"].isna().all() and document["semantic"]["tested"]
