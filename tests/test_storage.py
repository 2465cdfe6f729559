"""Every artifact of a small study read with nothing but the words of docs/storage.md: no reader of crosslens is used."""

import csv
import hashlib
import json
import math
import re
import shutil
import subprocess
from base64 import b64decode
from collections import Counter
from importlib.util import find_spec
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from chat_server import by_words, serving_chat
from checkouts import ANSWERS, TOY, Checkout, lay_sentences, write_tiny_gguf
from PIL import Image
from safetensors import safe_open
from scipy.optimize import linear_sum_assignment
from scipy.stats import f_oneway, false_discovery_control, rankdata, spearmanr
from storage_page import PAGE, Document, columns, expand, fields, read_page

PAGES = read_page()
ARTIFACTS = {expand(row[0])[0]: row[1:] for row in PAGES["", "artifact"].rows}
KINDS = {kind: name for name, (_, kinds) in ARTIFACTS.items() for kind in re.findall(r"`(\w+)`", kinds)}
JSON_KINDS = [kind for kind in KINDS if (kind, "field") in PAGES]
TABLE_KINDS = [kind for kind in KINDS if (kind, "column") in PAGES]
GROUP_KINDS = [kind for kind in KINDS if (kind, "array") in PAGES]
GENDERS = ("female", "male", "unknown")
SAE = "sae/joint/layer_1/seed_0"
OTHERS, VARIANTS = "others", ("batchtopk", "relu")
KEY = "sk-0123456789-of-the-test"
INSPECTED = {
    "texts": [{"language": "ar", "text": "وللممرضة كتابها."}],
    "samples": ["scene_000000#0"],
    "select": {"words": ["ممرضة", "كتاب"], "positions": [0, -1], "roles": ["prompt"]},
}
STEERING = {
    "features": 2,
    "strengths": [0.5, 2],
    "random_sets": 20,
    "samples": 6,
    "captions": 2,
    "max_new_tokens": 12,
}
LENSES = {"samples": 8, "tokens": 60, "epochs": 1, "bootstraps": 20, "permutations": 99}
CAUSAL = {"features": 3, "pairs": 10, "samples": 15}
WORDS = {
    "en": {"female": "a woman", "male": "a man"},
    "ar": {"female": "امرأة تعمل طباخة", "male": "رجل يعمل طباخا"},
}
PATCHING = {
    "words": WORDS,
    "pairs": 3,
    "attributed": 2,
    "features": 2,
    "bound": 0.01,
    "batch": 16,
    "bootstraps": 50,
}
NEEDS = {"collection": "emoji", "model": "gguf"}
"""Artifact to the optional package without which it is not here."""
MISSING = {name for name, package in NEEDS.items() if find_spec(package) is None}
LARGE = {
    *("controls", "control_figure", "matching", "matching_figure", "divergence", "divergence_figure"),
    *("seed_codes", "written_seed_codes", "agreement_figure"),
    *("ablation", "ablation_figure", "group_ablation", "substitution", "substitution_figure"),
    *("steering", "steering_figures", "clamp"),
    *("patching", "patching_figures", "feature_patching"),
    *("lenses", "lens_reading", "lens_figure", "attention", "attention_figure"),
    *("sample_map", "decoder_map", "map_figures"),
    *("dimensions", "information", "dictionary", "circuits", "geometry_figures"),
    *("written", "written_dataset", "written_tokens", "written_activations", "written_codes"),
    *("written_swept_codes", "written_gender", "written_gender_robustness"),
    *("written_probe_words", "written_probe_codes", "written_probe_activations"),
}
"""Artifacts that need further studies, or minutes; they are built and looked at with `-m long` alone."""


@pytest.fixture(scope="module")
def study(answered_once, made_once, request) -> Path:
    """results/toy: two languages of two parts, one site; an SAE of both, variants of it, and one "of others".

    Beside it are results/sibling, another site of the same model; results/twins, two sites and SAEs of each language, in two
    seeds and with a frozen decoder; results/answers, what the model writes; results/sentences, in two genders; and what the
    optional packages allow: results/names and results/packed.
    """
    large = "long" in (request.config.option.markexpr or "")
    MISSING.update(() if large else LARGE)
    name = "storage_large" if large else "storage"
    return made_once(name, lambda folder: build(answered_once.copy(folder), large=large)) / "results/toy"


def build(checkout: Checkout, *, large: bool) -> None:
    """See `study`."""
    shutil.copytree(checkout.folder / "results/toy" / SAE, checkout.folder / "data/others")
    gender = {**TOY["gender"], "conditions": ["prompt", "caption", "generated"]}
    more = {
        "sae": {**TOY["sae"], "pretrained": {OTHERS: {"1": "data/others"}}},
        "sweep": {"architecture": list(VARIANTS)},
        "tokens": INSPECTED,
        "compare": {"with": ["sibling"], "draws": 9},
        "claims": {"without": ["sibling"]},
        "concepts": {"first": [f"scene_{i:06d}" for i in range(20)]},
    }
    if large:
        more |= {"controls": ["shuffled"], "embeddings": {"permutations": 10}}
        more |= {"geometry": {"permutations": 19}, "causal": CAUSAL, "steering": STEERING}
        more |= {"lenses": LENSES, "attention": {"samples": 6, "shown": 2, "bootstraps": 20}}
        more |= {"patching": PATCHING, "gender": gender}
    one_part = {**TOY["activations"], "part_rows": 60}
    checkout.configure("sibling", {**TOY, "sites": ["2"], "activations": one_part})
    seeds = {"corpora": ["en", "ar"], "seeds": [0, 1], "sites": ["1"]}
    frozen = {"sites": ["1", "2"], "sweep": {"architecture": ["frozen_decoder"]}}
    further = {"causal": CAUSAL, "gender": gender} if large else {}
    checkout.configure("twins", {**TOY, "sae": {**TOY["sae"], **seeds}, **frozen, **further})
    lay_sentences(checkout)
    targets = [
        "all",
        "results/sentences/dataset/summary.json",
        "results/sentences/gender/agreement/ar/agreement.json",
    ]
    if large:
        targets.append("results/sentences/gender/agreement/en/agreement.json")
        targets += [
            f"results/twins/figures/{place}.png"
            for place in ("divergence", "layer_1/matching", "layer_1/substitution")
        ]
        checkout.configure("answers", {**ANSWERS, "clamp": {"max_new_tokens": 6}})
        targets.append("results/answers/interventions/clamp/joint/layer_1.json")
        targets += [f"results/twins/gender/en/en/{of}robustness/layer_1.json" for of in ("", "written/")]
        targets += ["results/twins/codes/en/en/written/layer_1/seed_1.zarr", "results/sentences/summary.json"]
        targets += ["results/sentences/figures/agreement.png"]
    captionless = {name: of for name, of in TOY.items() if name != "stereotype"}
    if "collection" not in MISSING:
        checkout.configure("names", {**captionless, "source": {"names": {"emoji": {"skin_tones": False}}}})
        targets += ["results/names/dataset/summary.json", "results/names/dataset/ar.parquet"]
    if "model" not in MISSING:
        file = write_tiny_gguf(checkout.folder / "data/tiny.gguf")
        texts = {"source": {"names": {"emoji": {"skin_tones": False}}}} if "collection" not in MISSING else {}
        checkout.configure(
            "packed", {**(captionless if texts else TOY), **texts, "model": {"id": f"data/{file.name}"}}
        )
        targets.append("results/packed/model/tiny")
    checkout.environment["A_KEY"] = KEY
    with serving_chat(lambda prompt: f"{by_words(prompt)} {KEY}") as server:
        endpoint = {"url": server.url, "model": "words", "key": "A_KEY", "retries": 0}
        describe = {"features": 2, "examples": 2, "held_out": 5, "method": "endpoint", "endpoint": endpoint}
        checkout.configure("toy", {**TOY, **more, "describe": describe})
        # the figures and the page that are there already stand for those with all of it
        not_drawn = [] if large else ["--omit-from", "draw_layer_figures", "draw_study_figures"]
        checkout.snakemake(*targets, *not_drawn)
        assert set(server.keys) == {f"Bearer {KEY}"}


def places(study: Path, name: str) -> list[Path]:
    """Every path of one artifact of one study."""
    pattern = ARTIFACTS[name][0].strip("`")
    found = sorted(study.glob(re.sub(r"\{\w+\}", "*", pattern.replace("{language}", "[a-z][a-z]"))))
    return [path for path in found if path.suffix == Path(pattern).suffix]


def everywhere(study: Path, name: str) -> list[Path]:
    """Every path of one artifact, of this study and of those beside it."""
    studies = [folder for folder in sorted(study.parent.iterdir()) if not folder.name.startswith(".")]
    found = [path for each in studies for path in places(each, name)]
    assert found or name in MISSING, f"no {name}"
    return found


def with_kind(study: Path, kind: str) -> list[Path]:
    """Every path of the artifacts that hold a kind; skips where the packages for them are missing."""
    names = [name for name, (_, kinds) in ARTIFACTS.items() if f"`{kind}`" in kinds]
    if not set(names) - MISSING:
        pytest.skip(f"needs {NEEDS.get(names[0], '-m long')}")
    return [place for name in names for place in everywhere(study, name)]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def documents(study: Path, kind: str) -> list[dict]:
    """The JSON documents of one kind."""
    found = []
    for place in with_kind(study, kind):
        for file in place.glob("*.json") if place.is_dir() else [place]:
            document = json.loads(file.read_text(encoding="utf-8"))
            header = document["metadata"]["crosslens"] if file.name == "cfg.json" else document
            assert header["schema"] == 1
            found += [document] if header["kind"] == kind else []
    return found


def table_of(study: Path, kind: str) -> list:
    """The parquet tables of one kind."""
    tables = []
    for place in with_kind(study, kind):
        files = place.glob("*.parquet") if place.is_dir() else [place]
        tables += [
            table
            for table in map(pq.read_table, files)
            if json.loads(table.schema.metadata[b"crosslens"])["kind"] == kind
        ]
    return tables


def group(path: Path) -> dict:
    """The arrays of a Zarr group, in memory, and its attributes under the empty name."""
    opened = zarr.open_group(path, mode="r")
    return {"": dict(opened.attrs), **{name: array[:] for name, array in opened.arrays()}}


def dense_of(codes: dict) -> np.ndarray:
    """(M, F) of a group of codes."""
    z = np.zeros((len(codes["token"]), codes[""]["d_sae"]))
    z[np.repeat(np.arange(len(z)), np.diff(codes["indptr"])), codes["indices"]] = codes["values"]
    return z


def float32(stored: np.ndarray) -> np.ndarray:
    return (stored.astype(np.uint32) << 16).view(np.float32) if stored.dtype == np.uint16 else stored


def weights(folder: Path) -> dict[str, np.ndarray]:
    with safe_open(folder / "sae_weights.safetensors", "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def saes(study: Path) -> list[Path]:
    """The folders of all SAEs."""
    return [place for name in ("sae", "swept_sae", "pretrained") for place in places(study, name)]


def encoded(folder: Path, x: np.ndarray) -> np.ndarray:
    """(N, F) what fires on x (N, d), as the page says it of each architecture; x̂ is z W_dec + b_dec."""
    config, w = json.loads((folder / "cfg.json").read_text()), weights(folder)
    a = (x - w["b_dec"]) @ w["W_enc"].astype(np.float64) + w["b_enc"]
    z = np.maximum(a, 0)
    if config["architecture"] == "topk":
        return np.where(z >= np.sort(z, axis=1)[:, [-config["k"]]], z, 0)
    return np.where(a > w["threshold"], z, 0) if config["architecture"] == "jumprelu" else z


class Language:
    """All parts of one language at one site put one after the other, as the codes count them."""

    def __init__(self, study: Path, language: str, site: str = "1"):
        self.language = language
        folder = study / "activations" / language
        parts = sorted((folder / "tokens").iterdir())
        tokens = [group(part) for part in parts]
        self.roles = tokens[0][""]["roles"]
        self.sample_id = np.array(
            [part[""]["sample_ids"][i] for part in tokens for i in part["sample"]], dtype=object
        )
        for name in ("position", "token_id", "role", "char_start", "char_end"):
            setattr(self, name, np.concatenate([part[name] for part in tokens]))
        stored = [group(folder / f"layer_{site}" / part.name) for part in parts]
        self.x = np.concatenate([float32(part["values"]) for part in stored]).astype(np.float64)
        self.norm = np.concatenate([part["norm"] for part in stored])
        (table,) = [
            table for name in ("dataset", "texts") for table in study.glob(f"{name}/{language}.parquet")
        ]
        self.dataset = pq.read_table(table).to_pandas().set_index("sample_id")
        if (study / SAE).is_dir():
            self.codes = group(study / f"codes/joint/{language}/layer_1.zarr")
            self.k = json.loads((study / SAE / "cfg.json").read_text())["k"]

    def of_sample(self, column: str) -> np.ndarray:
        """(N) a column of the dataset for every token."""
        return self.dataset[column].reindex(self.sample_id).to_numpy(dtype=object)

    def pooled(self, role: str, split: str, gender: str | None = None) -> np.ndarray:
        """(n, d) mean over a role's tokens of each sample of a split (of a gender), by sample id."""
        wanted = self.dataset["split"] == split
        wanted &= True if gender is None else self.dataset["gender"] == gender
        of_role = self.role == self.roles.index(role)
        ids = sorted(self.dataset.index[wanted])
        return np.array([self.x[of_role & (self.sample_id == name)].mean(axis=0) for name in ids])

    def z(self) -> np.ndarray:
        """(M, F) the codes, dense."""
        return dense_of(self.codes)


@pytest.fixture(scope="module", params=["en", "ar"])
def language(request, study) -> Language:
    return Language(study, request.param)


# the page against the rules and the artifacts


def test_every_kind_has_its_tables():
    assert KINDS.keys() == {*JSON_KINDS, *TABLE_KINDS, *GROUP_KINDS}


@pytest.mark.parametrize("kind", JSON_KINDS)
def test_a_document_has_the_documented_fields(study, kind):
    document = Document(kind, fields(PAGES, kind))
    for found in documents(study, kind):
        document.check(found)
    # what the further studies of `LARGE` say is in these too
    assert (kind in ("layer", "summary") and MISSING & LARGE) or document.unseen() == []


def test_the_comparison_of_documents_sees_what_is_missing_on_either_side(study):
    types = fields(PAGES, "rankings")
    found = next(d for d in documents(study, "rankings") if "why_none" not in d["specialists"])
    for path in ("sae", "specialists.features[].p", "rankings.frequent.features[].score"):
        with pytest.raises(AssertionError, match="not in docs/storage.md"):
            Document("rankings", {name: t for name, t in types.items() if name != path}).check(found)
        with pytest.raises(AssertionError, match="is no bool"):
            Document("rankings", types | {path: "bool"}).check(found)
        more = Document("rankings", types | {f"{path}_more": "string"})
        more.check(found)
        assert len(more.unseen()) == 1


@pytest.mark.parametrize("kind", TABLE_KINDS)
def test_a_table_has_the_documented_columns(study, kind):
    documented = columns(PAGES, kind, "column")
    always = {name for name, type_ in documented.items() if not type_.endswith(", optional")}
    seen = set()
    for table in table_of(study, kind):
        assert json.loads(table.schema.metadata[b"crosslens"]) == {"schema": 1, "kind": kind}
        assert always <= set(table.column_names) <= documented.keys()
        seen |= set(table.column_names)
        for name in table.column_names:
            type_ = documented[name].removesuffix(", optional")
            found = (
                str(table[name].type).replace("large_", "").replace("list<element: int64>", "list of int64")
            )
            assert found == type_.removesuffix(" or null"), name
            assert type_.endswith(" or null") or table[name].null_count == 0, name
    assert documented.keys() == seen


@pytest.mark.parametrize("kind", GROUP_KINDS)
def test_a_group_has_the_documented_arrays_and_attributes(study, kind):
    attributes, arrays = columns(PAGES, kind, "attribute"), columns(PAGES, kind, "array")
    for place in with_kind(study, kind):
        place = place if place.suffix == ".zarr" else place / "activations.zarr"
        found = zarr.open_group(place, mode="r")
        if "{site}" in arrays:
            arrays = dict.fromkeys(found.attrs["sites"], arrays["{site}"])
        assert (found.attrs["schema"], found.attrs["kind"], found.metadata.zarr_format) == (1, kind, 3)
        document = Document(kind, attributes)
        document.check(dict(found.attrs))
        assert document.unseen() == []
        assert sorted(name for name, _ in found.arrays()) == sorted(arrays)
        sizes = {"n": len(found.attrs["sample_ids"])} if "sample_ids" in found.attrs else {}
        for name, array in found.arrays():
            shape, dtype = re.fullmatch(r"\((.+)\) (.+)", arrays[name]).groups()
            assert str(array.dtype) in dtype.split(" or "), name
            for size, letter in zip(array.shape, shape.split(", "), strict=True):
                letter, _, more = letter.partition("+")
                assert sizes.setdefault(letter, size - int(more or 0)) == size - int(more or 0), name
            shards = -(-array.shape[0] // array.shards[0])
            files = [place / name / "c" / str(i) / ("0" if array.ndim == 2 else "") for i in range(shards)]
            assert sorted(files) == sorted(f for f in (place / name / "c").rglob("*") if f.is_file()), name
            assert array.shards[0] % array.chunks[0] == 0 and array.shards[1:] == array.shape[1:]
            limits = None if array.dtype.kind == "f" else np.iinfo(array.dtype)
            fill = array.fill_value
            (compressor,) = array.compressors
            codec = compressor.to_dict()["configuration"]
            quick = (kind, name) == ("activations", "values")
            assert (codec["cname"], codec["shuffle"]) == (
                ("lz4", "bitshuffle") if quick else ("zstd", "shuffle")
            )
            assert np.isnan(fill) if limits is None else fill == (limits.min or limits.max), name


def test_the_weights_are_as_documented(study):
    documented = columns(PAGES, "sae_weights.safetensors", "tensor")
    architectures = {}
    for folder in saes(study):
        with safe_open(folder / "sae_weights.safetensors", "numpy") as file:
            header = json.loads(file.metadata()["crosslens"])
        config = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
        known = config["metadata"]["crosslens"]
        assert header == {key: known[key] for key in known.keys() - {"trained_as", "target"}}
        architectures[folder.name] = config["architecture"]
        tensors = weights(folder)
        named = {name for name, type_ in documented.items() if not type_.endswith(", optional")}
        assert tensors.keys() == named | ({"threshold"} if config["architecture"] == "jumprelu" else set())
        sizes = {"d": config["d_in"], "F": config["d_sae"]}
        for name, tensor in tensors.items():
            shape, dtype = re.match(r"\((.+)\) (\w+)", documented[name]).groups()
            assert (str(tensor.dtype), tensor.shape) == (dtype, tuple(sizes[x] for x in shape.split(", ")))
        assert np.linalg.norm(tensors["W_dec"], axis=1) == pytest.approx(1, abs=1e-5)
        assert (folder / "training.json").exists() != (OTHERS in folder.parts)
    assert architectures == {"seed_0": "topk", "layer_1": "topk", "batchtopk": "jumprelu", "relu": "standard"}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_drawn_source_is_as_documented(study):
    rows = read_csv(study / "source/captions.csv")
    assert sorted(rows[0]) == sorted(columns(PAGES, "captions.csv", "column"))
    images = {path.stem for path in (study / "source/images").iterdir()}
    assert images == {row["image_id"] for row in rows}


@pytest.mark.skipif("collection" in MISSING, reason="needs the package emoji")
def test_the_collected_source_is_as_documented(study):
    rows = read_csv(study.with_name("names") / "collection/captions.csv")
    assert sorted(rows[0]) == sorted(columns(PAGES, "collection/captions.csv", "column"))
    said = json.loads((study.with_name("names") / "collection/source.json").read_text())
    assert said["rows"] == len(rows) == sum(cell[g] for cell in said["counts"] for g in GENDERS)
    assert said["pairs"] == len({row["pair"] for row in rows} - {""})
    for row in rows:
        points = "-".join(f"{ord(character):x}" for character in row["emoji"] if character != "\ufe0f")
        assert row["image_id"] == f"emoji_{points}"
    group_of = {row["image_id"]: row["group"] for row in rows}
    for table in places(study.with_name("names"), "dataset"):
        table = pq.read_table(table).to_pandas()
        source = table["image_id"].map(group_of)
        assert (table.groupby(source)["group"].nunique() == 1).all() and (
            table["group"].nunique() == source.nunique()
        )
        assert (table.groupby("group")["split"].nunique() == 1).all()


def test_the_tagged_sentences_are_as_documented(study):
    folder = study.with_name("sentences") / "mt_geneval"
    rows = read_csv(folder / "captions.csv")
    documented = columns(PAGES, "mt_geneval/captions.csv", "column")
    named = {name.format(language=language) for name in documented for language in ("en", "ar")}
    assert sorted(rows[0]) == sorted(named)
    said = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    assert said["rows"] == len(rows) and said["left_out"] == [] and said["messages"] == 0
    of_split = Counter(row["split"] for row in rows)
    assert of_split == {split: 2 * count for split, count in said["sentences"].items()}
    for row in rows:
        assert row["image_id"] == f"{row['group']}_{row['ground_truth_gender']}"
        assert (row["split"] == "test") == row["group"].startswith("test_")
    feminine = {row["group"]: row["en_caption"] for row in rows if row["ground_truth_gender"] == "female"}
    for row in rows:
        if row["split"] != "test":
            number = int(hashlib.sha256(feminine[row["group"]].encode()).hexdigest(), 16)
            assert (row["split"] == "select") == (number % 4 == 0)


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.long), "ar"])
def test_agreement_by_hand_is_that_of_its_targets(study, language):
    """Words of the sentences that the page says are targets, and shares of their log-odds."""
    sentences = study.with_name("sentences")
    table = pq.read_table(sentences / f"gender/agreement/{language}/targets.parquet").to_pandas()
    rows = pq.read_table(sentences / f"dataset/{language}.parquet").to_pandas()
    captions = rows.set_index(["group", "gender"])
    expected = 0
    for group in dict.fromkeys(rows["group"]):
        female, male = (captions.loc[(group, gender)] for gender in GENDERS[:2])
        told = [[row["caption"][a:b] for a, b in json.loads(row["label_spans"])] for row in (female, male)]
        expected += len(told[0]) - 1
        for row in table[table["group"] == group].itertuples():
            assert (row.form_female, row.form_male) == (told[0][row.target], told[1][row.target])
            assert row.before == row.target >= 1 and row.split == female["split"]
    assert len(table) == expected > 40
    said = json.loads((sentences / f"gender/agreement/{language}/agreement.json").read_text(encoding="utf-8"))
    for name, own in (("all", table), ("test", table[table["split"] == "test"])):
        of, change = said["of"][name], own["log_odds_female"] - own["log_odds_male"]
        assert (of["targets"], of["sentences"]) == (len(own), own["group"].nunique())
        assert of["agrees"]["value"] == pytest.approx((change > 0).mean())
        assert of["own"]["male"]["value"] == pytest.approx((own["log_odds_male"] < 0).mean())
        assert of["alone"]["female"]["value"] == pytest.approx((own["log_odds_alone"] > 0).mean())
        assert of["difference"]["value"] == pytest.approx(change.mean())
        for by in ("distance", "before"):
            strata = [stratum for stratum in of["strata"] if stratum["by"] == by]
            assert sum(stratum["targets"] for stratum in strata) == len(own)
            for stratum in strata:
                inside = own[by].between(stratum["first"], stratum["last"] or np.inf)
                assert stratum["agrees"]["value"] == pytest.approx((change[inside] > 0).mean())


@pytest.mark.long
@pytest.mark.parametrize("language", ["en", "ar"])
def test_what_lenses_read_by_hand_is_that_of_their_readings(study, language):
    """Counts, differences and shares of the document, of the rows of its table."""
    folder = study / f"lens/{language}"
    said = json.loads((folder / "lens.json").read_text(encoding="utf-8"))
    assert said["tested"] and said["gender"]["places"] == "pictures"
    table = pq.read_table(folder / "readings.parquet").to_pandas()
    assert set(zip(table["female"], table["male"], strict=True)) == {tuple(said["gender"]["words"])}
    with safe_open(folder / "jacobian.safetensors", "numpy") as file:
        rows = file.get_tensor("rows")
    with safe_open(study / "lens/tuned/tuned.safetensors", "numpy") as file:
        assert file.get_tensor("weight").shape == (said["layers"] - 1, rows.shape[1], rows.shape[1])
        assert file.get_tensor("bias").shape == (said["layers"] - 1, rows.shape[1])
    assert len(rows) == said["layers"] and np.isfinite(rows).all() and rows.any(axis=1).all()
    last = table[(table["lens"] == "logit") & (table["layer"] == said["layers"] - 1)]
    for (lens, layer), own in table.groupby(["lens", "layer"]):
        of = said["gender"]["of"][lens][layer]
        female, male = (own.loc[own["gender"] == gender, "log_odds"].to_numpy() for gender in GENDERS[:2])
        assert (len(female), len(male)) == tuple(said["gender"]["counts"][gender] for gender in GENDERS[:2])
        assert of["difference"]["value"] == pytest.approx(female.mean() - male.mean())
        above = (female[:, None] > male) + (female[:, None] == male) / 2
        assert of["told"]["value"] == pytest.approx(above.mean())
        if lens == "tuned" and layer == said["layers"] - 1:
            np.testing.assert_allclose(own["log_odds"].to_numpy(), last["log_odds"].to_numpy(), atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("language", ["en", "ar"])
def test_stored_attention_adds_up(study, language):
    """Weights of a query to at most 1, on the picture to what the heads' table says, where it is of the same samples."""
    folder = study / f"attention/{language}"
    said = json.loads((folder / "attention.json").read_text(encoding="utf-8"))
    patterns, heads, images = (
        pq.read_table(folder / f"{name}.parquet").to_pandas() for name in ("patterns", "heads", "images")
    )
    assert patterns["weight"].min() >= said["threshold"] and (patterns["key"] <= patterns["query"]).all()
    sums = patterns.groupby(["sample_id", "layer", "head", "query"])["weight"].sum()
    assert 0 < sums.min() and sums.max() < 1 + 1e-4
    tokens = {sample["sample_id"]: sample["tokens"] for sample in said["shown"]}
    for sample, own in patterns.groupby("sample_id"):
        assert {tokens[sample][at]["role"] for at in own["query"]} <= {"prompt", "caption"}
        pictured = sum(token["role"] == "image" for token in tokens[sample])
        places = (
            images[images["sample_id"] == sample]
            .groupby(["layer", "head"])["place"]
            .agg(["min", "max", "size"])
        )
        assert (places == [0, pictured - 1, pictured]).all(axis=None)
    shares = heads[heads["score"].isin(["itself", "previous", "first", "image", "kept", "induction"])]
    assert shares["value"].between(0, 1 + 1e-6).all()
    assert len(heads) == 8 * len(said["layers"]) * said["heads"]


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_the_manifest_of_catalogues_is_as_documented(tmp_path, monkeypatch):
    polib = pytest.importorskip("polib", reason="catalogues are read with the package polib")
    from crosslens.sources import fetch

    root = tmp_path / "one"
    catalogue = root / "usr/share/locale/ar/LC_MESSAGES/one.mo"
    catalogue.parent.mkdir(parents=True)
    messages = polib.POFile()
    messages.append(polib.POEntry(msgid="Show the page", msgstr="اعرض الصفحة"))
    messages.save_as_mofile(str(catalogue))
    (root / "DEBIAN").mkdir()
    about = "Package: one\nVersion: 1\nArchitecture: all\nMaintainer: N <n@example.org>\nDescription: x\n"
    (root / "DEBIAN/control").write_text(about)
    package = tmp_path / "one.deb"
    subprocess.run(["dpkg-deb", "--build", root, package], check=True, capture_output=True)
    monkeypatch.setattr(fetch, "_download", lambda name, scratch: package if name == "one" else None)
    monkeypatch.setattr(shutil, "which", lambda tool: tool)
    fetch.fetch_messages(tmp_path / "messages", ["one", "none"])
    document = Document("message_catalogues", fields(PAGES, "message_catalogues"))
    document.check(json.loads((tmp_path / "messages/manifest.json").read_text()))
    assert document.unseen() == []


def test_figures_and_page_are_what_their_names_say(study):
    said = PAGE.read_text(encoding="utf-8").split("`layer_figures` is", 1)[1].split("\n\n")[0]
    figures = {path.name: path for path in study.parent.glob("*/figures/**/*.png")}
    documented = set(re.findall(r"`(\w+\.png)`", said))
    assert figures.keys() <= documented if MISSING & LARGE else figures.keys() == documented
    shown = len(figures)
    drawn = {"norms.png", "dimensions_1.png", "cosines_1.png"}
    assert {path.name for path in (study / "tokens/inspection").glob("*.png")} == drawn
    figures |= {path: path for path in study.glob("tokens/inspection/*.png")}
    figures |= {path: path for path in study.glob("comparison/sibling/*/comparison.png")}
    assert len(figures) == shown + len(drawn) + 2
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in figures.values())
    for path in figures.values():
        assert path.with_suffix(".svg").read_bytes().startswith(b"<?xml")
        assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        with path.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert all(len(row) == len(rows[0]) for row in rows), path
    page = (study / "report/index.html").read_text(encoding="utf-8")
    assert "src=" in page and not re.search(r"(src|href)=[\"']?(https?:|/|\.)", page)
    assert "&lt;data" not in page  # markup where words are meant
    words = re.sub(r"(?s)<(style|script).*?</\1>|<[^>]+>", " ", page)
    assert re.findall(r".*\b(?:None|nan)\b(?! where).*", words) == []  # what a sentence has no number for


def provided(file: Path):
    """What a script of the live page hands over."""
    name, value = re.fullmatch(
        r"Live\.provide\((\"\w+\"),(.*)\);\n", file.read_text(encoding="utf-8")
    ).groups()
    assert json.loads(name) == file.stem
    return json.loads(value)


def test_the_page_that_runs_the_model_is_as_documented(study, tmp_path):
    (folder,) = places(study, "live")
    told = provided(folder / "data/study.js")
    assert sorted(path.name for path in (folder / "data").iterdir()) == sorted(
        ["study.js", "model.js", *(f"{own['file']}.js" for own in told["saes"])]
    )
    own = {sae["name"]: provided(folder / f"data/{sae['file']}.js") for sae in told["saes"]}
    for kind, found in (("live/study.js", [told]), ("live/sae.js", own.values())):
        document = Document(kind, fields(PAGES, kind))
        for each in found:
            document.check(each)
        assert document.unseen() == []
    assert own.keys() == {"joint.1", f"{OTHERS}.1"}

    def tensors(text: str) -> dict:
        file = tmp_path / "tensors.safetensors"
        file.write_bytes(b64decode(text))
        with safe_open(file, "numpy") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}

    packed = provided(folder / "data/model.js")
    assert told["bytes"] == len(packed)
    with safe_open(study.parents[1] / "resources/planted/model.safetensors", "numpy") as file:
        shipped = {name: file.get_tensor(name) for name in file.keys()}
    named = tensors(packed)
    parts = {
        "text": "language_model.model.",
        "vision": "vision_tower.",
        "projector": "multi_modal_projector.",
    }
    assert {tensor.dtype for tensor in named.values()} == {np.dtype("float16")} and len(named) == len(shipped)
    for name, tensor in named.items():
        part, _, rest = name.partition(".")
        assert np.array_equal(tensor, shipped[parts[part] + rest]), name
    sae = own["joint.1"]
    for name, tensor in tensors(sae["weights"]).items():
        assert np.array_equal(tensor, weights(study / SAE)[name])
    for picture in told["pictures"]:
        with Image.open(study / f"source/images/{picture['id']}.png") as opened:
            assert opened.convert("RGB").tobytes() == b64decode(picture["rgb"])
    effects = pq.read_table(study / "gender/joint/en/layer_1/effects.parquet").to_pandas()
    shown = effects[
        (effects["condition"] == "prompt") & (effects["split"] == "test") & effects["significant"]
    ]
    assert sae["effects"]["en"].keys() == {str(feature) for feature in shown["feature"]}


def test_the_written_summary_and_the_plots_have_the_numbers_of_the_artifacts(study):
    """A table's numbers and bounds as they are in the results; a plot's rows those of the figure's CSV."""
    (tables,), (plots,) = places(study, "summary_tables"), places(study, "plots")
    names = {path.relative_to(tables).as_posix() for path in tables.rglob("*.csv")}
    assert names and all(re.fullmatch(r"[a-z]+/[\w-]+\.csv", name) for name in names)
    with (tables / "quality/quality.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["site"], row["SAE"], row["language"]): row for row in csv.DictReader(file)}
    of = {"en": "English", "ar": "Arabic (العربية)"}
    for code, name in of.items():
        told = json.loads((study / f"quality/joint/{code}/layer_1.json").read_text())
        row = rows["block 1", "joint SAE", name]
        assert (float(row["EV"]), float(row["L0"]), int(row["dead"])) == (
            told["ev"],
            told["l0"]["mean"],
            told["dead"],
        )
    with (tables / "represented/probes.csv").open(encoding="utf-8", newline="") as file:
        (row,) = (
            row
            for row in csv.DictReader(file)
            if (row["site"], row["language"], row["condition"], row["probe on"])
            == ("block 1", "English", "caption", "codes, joint SAE")
        )
    told = json.loads((study / "gender/joint/en/probe/layer_1.json").read_text())
    auroc = told["conditions"]["caption"]["auroc"]
    assert [float(row[f"AUROC{end}"]) for end in ("", " low", " high")] == [
        auroc[name] for name in ("value", "low", "high")
    ]
    with (study / "figures/sharing/joint/layer_1/sharing.csv").open(encoding="utf-8", newline="") as file:
        points = [*csv.DictReader(file)]
    html = (plots / "joint/1/sharing.html").read_text(encoding="utf-8")
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    data = json.loads(text)
    at = {name: i for i, name in enumerate(data["columns"])}
    assert [row[at["feature"]] for row in data["rows"]] == [int(row["feature"]) for row in points]
    assert [row[at["r"]] for row in data["rows"]] == [float(row["r"]) if row["r"] else "" for row in points]


def test_a_strength_of_the_live_page_is_in_units_of_select(study, language):
    (folder,) = places(study, "live")
    own = provided(folder / "data/sae_0.js")
    z, norm = language.z(), language.codes["norm"]
    assert own["limits"][language.language] == pytest.approx(10 * np.median(norm))
    select = language.of_sample("split")[language.codes["token"]] == "select"
    rows = z[select & (norm <= own["limits"][language.language])]
    expected = [np.percentile(column[column > 0], 99) if (column > 0).any() else 0 for column in rows.T]
    assert own["levels"][language.language] == pytest.approx(expected, rel=1e-5)


def test_the_table_beside_a_figure_has_the_numbers_of_the_artifact_that_it_shows(study):
    with (study / "figures/quality.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["metric"], row["baseline"]) == ("ev", "")]
    shown = {row["language"]: float(row["value"]) for row in rows if row["corpus"] == "joint"}
    layer = json.loads((study / "layers/1.json").read_text(encoding="utf-8"))
    told = {sae["language"]: sae["ev"] for sae in layer["saes"] if sae["corpus"] == "joint"}
    assert shown == pytest.approx(told, rel=1e-9) and len(shown) == 2


# what the words say of the numbers


def test_the_tables_of_all_languages_hold_the_same_samples(study):
    arabic, english = (pq.read_table(place).to_pandas() for place in places(study, "dataset"))
    same = [name for name in english.columns if name not in ("caption", "prompt", "label_spans")]
    assert english[same].equals(arabic[same])
    assert list(english["row"]) == list(range(1, len(english) + 1))
    assert set(english["gender"]) == {"female", "male", "unknown"}
    assert set(english["split"]) == {"train", "select", "test"}
    for row in english.itertuples():
        assert row.sample_id == f"{row.image_id}#0"
        assert row.image_sha256 == sha256(study / "source/images" / row.image)
    told = {
        row.caption[start:end] for row in english.itertuples() for start, end in json.loads(row.label_spans)
    }
    assert told <= {"he", "she", "his", "her", "man", "woman", "male", "female", "He", "She"} and told


def test_tokens_are_ragged_rows_of_samples(study):
    for place in everywhere(study, "tokens"):
        part = group(place)
        samples, lengths = part[""]["sample_ids"], np.diff(part["offsets"])
        assert part["offsets"][0] == 0 and part["offsets"][-1] == len(part["sample"]) and (lengths > 0).all()
        assert np.array_equal(part["sample"], np.repeat(np.arange(len(samples)), lengths))
        inside = np.diff(part["sample"]) == 0
        assert (np.diff(part["position"])[inside] > 0).all() and part["position"].min() >= 0
        text = "generated" if "answers" in place.parts else "caption"
        before = set() if "sentences" in place.parts else {"prompt"}  # whose prompt is empty
        assert {part[""]["roles"][i] for i in np.unique(part["role"])} == {*before, text}


def test_parts_hold_every_sample_once(language):
    assert sorted(set(language.sample_id)) == sorted(language.dataset.index)


def test_spans_put_side_by_side_give_the_text_back(language):
    """Byte-level tokens overlap: what was shown before is not shown again."""
    for name, column in (("caption", "caption"), ("prompt", "prompt")):
        rows = np.flatnonzero((language.role == language.roles.index(name)) & (language.char_start >= 0))
        shown: dict[str, tuple[str, int]] = {}
        texts = language.of_sample(column)
        for row in rows:
            start, end = language.char_start[row], language.char_end[row]
            said, previous = shown.get(language.sample_id[row], ("", 0))
            assert 0 <= start <= end <= len(texts[row]) and end >= previous
            gap = texts[row][previous : max(start, previous)]
            assert not gap.strip()
            said += gap + texts[row][max(start, previous) : end]
            shown[language.sample_id[row]] = (said, int(end))
        for sample, (said, _) in shown.items():
            assert said == language.dataset.loc[sample, column].rstrip()


def test_stored_values_decode_to_rows_of_the_stored_norm(language):
    assert np.isfinite(language.x).all()
    # bfloat16 has 8 bits: each value is off by 1/256 of itself at most
    assert np.linalg.norm(language.x, axis=1) == pytest.approx(language.norm, rel=1 / 256)


def test_codes_are_csr_rows_of_the_declared_tokens(study, language):
    codes = language.codes
    wanted = [language.roles.index(role) for role in codes[""]["roles"]]
    assert np.array_equal(codes["token"], np.flatnonzero(np.isin(language.role, wanted)))
    assert codes["indptr"][0] == 0 and codes["indptr"][-1] == len(codes["values"])
    assert (np.diff(codes["indptr"]) >= 0).all() and (codes["values"] > 0).all()
    row = np.repeat(np.arange(len(codes["token"])), np.diff(codes["indptr"]))
    assert (np.diff(codes["indices"])[np.diff(row) == 0] > 0).all()
    assert 0 <= codes["indices"].min() and codes["indices"].max() < codes[""]["d_sae"]
    assert codes[""]["sae"] == sha256(study / SAE / "sae_weights.safetensors")


def test_codes_are_topk_of_relu_of_the_encoder(study, language):
    w, codes = weights(study / SAE), language.codes
    x = language.x[codes["token"]]
    z = np.maximum((x - w["b_dec"]) @ w["W_enc"].astype(np.float64) + w["b_enc"], 0)
    stored, close = language.z(), 1e-4 * z.max()
    assert np.abs(np.where(stored > 0, stored - z, 0)).max() < close
    assert np.array_equal((stored > 0).sum(axis=1), np.minimum((z > 0).sum(axis=1), language.k))
    left_out = np.where(stored > 0, 0, z).max(axis=1)
    assert (left_out <= np.where(stored > 0, stored, np.inf).min(axis=1) + close).all()


@pytest.mark.parametrize("name", ["study", OTHERS, *VARIANTS])
def test_explained_variance_by_hand_is_that_of_the_quality_document(study, language, name):
    """Of the study's own SAE, of one of others, and of swept ones of every architecture that is on disk."""
    split, rows, tongue = language.of_sample("split"), language.codes["token"], language.codes[""]["language"]
    sae, place = {
        "study": (SAE, f"quality/joint/{tongue}/layer_1.json"),
        OTHERS: (f"pretrained/{OTHERS}/layer_1", f"quality/{OTHERS}/{tongue}/layer_1.json"),
    }.get(name, (f"sweep/joint/layer_1/{name}", f"sweep/joint/layer_1/{name}/quality_{tongue}.json"))
    quality, w = json.loads((study / place).read_text()), weights(study / sae)
    assert quality["sae"] == sha256(study / sae / "sae_weights.safetensors")
    train = np.isin(np.arange(len(split)), rows) & (split == "train")
    limit = quality["sinks"]["factor"] * np.median(language.norm[train])
    kept = rows[(split[rows] == "test") & (language.norm[rows] <= limit)]
    x = language.x[kept]
    z = encoded(study / sae, x)
    error = x - (z @ w["W_dec"] + w["b_dec"])
    total = (x**2).sum() - (x.sum(axis=0) ** 2).sum() / len(x)
    # a pre-activation next to its threshold may fall to either side of it
    assert quality["ev"] == pytest.approx(1 - (error**2).sum() / total, rel=1e-4)
    assert quality["mse"] == pytest.approx((error**2).sum() / len(x), rel=1e-4)
    assert quality["l0"]["mean"] == pytest.approx((z > 0).sum() / len(z), rel=1e-4)
    assert quality["tokens"] == len(x)
    assert quality["live"] == pytest.approx((z > 0).any(axis=0).sum(), abs=1)


def test_the_nearest_decoder_row_by_hand(study):
    for name in ("quality", "swept_quality"):
        for place in places(study, name):
            document = json.loads(place.read_text())
            told, digest = document["decoder_cosine"], document["sae"]
            sae = next(f for f in saes(study) if sha256(f / "sae_weights.safetensors") == digest)
            W = weights(sae)["W_dec"].astype(np.float64)
            W /= np.linalg.norm(W, axis=1, keepdims=True)
            nearest = (W @ W.T - 3 * np.eye(len(W))).max(axis=1)
            assert told["compared"] == len(W) == sum(told["decoder"]["counts"])
            assert told["decoder"]["median"] == pytest.approx(np.median(nearest), abs=1e-5)
            assert told["decoder"]["alike_share"] == (nearest > told["alike_above"]).mean()


def test_promoted_tokens_by_hand(study):
    """By the model's file: Gemma's norm divides by the root mean square and multiplies by 1 + weight; the head is tied."""
    with safe_open(study.parents[1] / "resources/planted/model.safetensors", "numpy") as file:
        names = ("language_model.model.norm.weight", "language_model.model.embed_tokens.weight")
        norm, head = (file.get_tensor(name).astype(np.float64) for name in names)
    found = places(study, "promoted")
    assert len(found) == 2
    for folder in found:
        told = json.loads((folder / "promoted.json").read_text())
        sae = next(f for f in saes(study) if sha256(f / "sae_weights.safetensors") == told["sae"])
        W = weights(sae)["W_dec"].astype(np.float64)
        assert (told["d_sae"], told["features"], told["tokens"]) == (len(W), len(W), len(head))
        logits = (W / np.sqrt(np.square(W).mean(axis=1, keepdims=True)) * (1 + norm)) @ head.T
        table = pq.read_table(folder / "tokens.parquet").to_pandas().sort_values(["feature", "rank"])
        for side, sign in (("promoted", -1), ("suppressed", 1)):
            of = table[table["side"] == side]
            assert of["rank"].tolist() == [*range(1, 1 + told["count"])] * len(W)
            ids = of["token_id"].to_numpy().reshape(len(W), -1)
            assert np.take_along_axis(logits, ids, 1) == pytest.approx(
                of["logit"].to_numpy().reshape(ids.shape), abs=1e-3
            )
            best = sign * np.sort(sign * logits, axis=1)[:, : told["count"]]
            assert best == pytest.approx(np.take_along_axis(logits, ids, 1), abs=1e-3)


def test_the_sweep_is_the_means_of_its_quality_documents(study):
    sweep = json.loads((study / "sweep/joint/layer_1.json").read_text())
    assert {setting["name"] for setting in sweep["settings"]} == {"study", *VARIANTS}
    for setting in sweep["settings"]:
        swept = f"sweep/joint/layer_1/{setting['name']}/quality_{{}}.json"
        pattern = "quality/joint/{}/layer_1.json" if setting["name"] == "study" else swept
        found = [json.loads((study / pattern.format(name)).read_text()) for name in ("ar", "en")]
        assert setting["fvu"] == pytest.approx(np.mean([document["fvu"] for document in found]))
        assert setting["l0"] == pytest.approx(np.mean([document["l0"]["mean"] for document in found]))
        assert {document["architecture"] for document in found} == {setting["architecture"]}
        better = [s for s in sweep["settings"] if s["l0"] <= setting["l0"] and s["fvu"] <= setting["fvu"]]
        assert setting["pareto"] == (better == [setting])


def test_columns_of_the_features_by_hand(study, language):
    name, z = language.codes[""]["language"], language.z()
    table = pq.read_table(study / f"features/joint/{name}/layer_1/features.parquet").to_pandas()
    rows = language.codes["token"]
    scope = (language.of_sample("split") == "test")[rows] & (language.of_sample("gender") == "male")[rows]
    samples = [
        z[scope & (language.sample_id[rows] == s)] for s in sorted(set(language.sample_id[rows][scope]))
    ]
    means = np.array([tokens.mean(axis=0) for tokens in samples])
    z = z[scope]
    with np.errstate(invalid="ignore", divide="ignore"):
        by_hand = {
            "token_frequency": (z > 0).mean(axis=0),
            "sample_frequency": (means > 0).mean(axis=0),
            "mean": z.mean(axis=0),
            "mean_active": z.sum(axis=0) / (z > 0).sum(axis=0),
            "max": z.max(axis=0),
            "std": z.std(axis=0),
            "selectivity": 1 - means.mean(axis=0) ** 2 / (means**2).mean(axis=0),
        }
    for statistic, values in by_hand.items():
        np.testing.assert_allclose(table[f"test_male_{statistic}"], values, rtol=1e-4, atol=1e-6)


def test_group_means_of_the_gender_effects_by_hand(study, language):
    name, z = language.codes[""]["language"], language.z()
    table = pq.read_table(study / f"gender/joint/{name}/layer_1/effects.parquet").to_pandas()
    rows = language.codes["token"]
    prompt = (language.role == language.roles.index("prompt"))[rows]
    for gender in ("female", "male"):
        inside = prompt & (language.of_sample("split") == "test")[rows]
        inside &= (language.of_sample("gender") == gender)[rows]
        samples = sorted(set(language.sample_id[rows][inside]))
        means = [z[inside & (language.sample_id[rows] == sample)].mean(axis=0) for sample in samples]
        found = table[(table["condition"] == "prompt") & (table["split"] == "test")].sort_values("feature")
        assert (found[f"n_{gender}"] == len(samples)).all()
        np.testing.assert_allclose(found[f"mean_{gender}"], np.mean(means, axis=0), rtol=1e-4, atol=1e-6)


def test_robustness_by_hand(study, language):
    """What is live in each view of the prompt, and how a named feature, or its partner, tells the genders there."""
    name = language.codes[""]["language"]
    place = study / f"gender/joint/{name}"
    document = json.loads((place / "robustness/layer_1.json").read_text())
    least = json.loads((place / "layer_1/gender.json").read_text())["live_units"]
    assert [(view["view"], view["kind"]) for view in document["views"]] == [
        *(("max", "reading"), ("last", "reading")),
        *((variant, "architecture") for variant in VARIANTS),
    ]
    table = pq.read_table(study / "alignment/counterparts/joint/layer_1.parquet").to_pandas()
    told = document["conditions"]["prompt"]
    rows = language.codes["token"]
    inside = (language.role == language.roles.index("prompt"))[rows]
    inside &= (language.of_sample("split") == "test")[rows]
    inside &= np.isin(language.of_sample("gender"), GENDERS[:2])[rows]
    samples = sorted(set(language.sample_id[rows][inside]))
    female = np.array([language.dataset["gender"][sample] == "female" for sample in samples])
    pooled = {"max": lambda z: z.max(axis=0), "last": lambda z: z[-1]}
    for i, view in enumerate(told["views"]):
        variant = view["view"] if view["kind"] == "architecture" else None
        path = f"sweep/joint/layer_1/{variant}/codes_{name}.zarr"
        codes = group(study / path) if variant else language.codes
        assert codes["token"].tolist() == rows.tolist() and codes[""]["sae"] == document["views"][i]["sae"]
        z, pool = dense_of(codes), pooled.get(view["view"], lambda z: z.mean(axis=0))
        values = np.array([pool(z[inside & (language.sample_id[rows] == sample)]) for sample in samples])
        fires = (values > 0).sum(axis=0)
        assert view["live"] == (fires >= least).sum()
        pairs = table[table["other"] == variant].set_index("feature")
        for feature in told["named"]:
            found = feature["views"][i]
            of = pairs["partner"][feature["feature"]] if variant else feature["feature"]
            assert found["partner"] == of
            if variant:
                assert found["cosine"] == pytest.approx(pairs["decoder_cosine"][feature["feature"]])
            if fires[of] >= least:
                ranks = rankdata(values[:, of].astype(np.float32))
                spread = np.sqrt(female.mean() * (~female).mean() * ranks.var(ddof=1) * len(ranks))
                z_by_hand = (ranks[female].sum() - female.sum() * ranks.mean()) / spread
                assert found["z"] == pytest.approx(z_by_hand, abs=1e-6)
            significant = found["q"] is not None and found["q"] <= document["alpha"]
            assert found["gendered"] == (significant and (found["z"] > 0) == (feature["side"] == "female"))
        gendered = sum(told["gendered"].values())
        assert view["share"] == (view["kept"] / gendered if gendered else None)


def test_counterparts_by_hand(study):
    table = pq.read_table(study / "alignment/counterparts/joint/layer_1.parquet").to_pandas()
    first = weights(study / SAE)
    for variant in VARIANTS:
        folder = study / f"sweep/joint/layer_1/{variant}"
        other, rows = weights(folder), table[table["other"] == variant]
        assert set(rows["sae"]) == {sha256(study / SAE / "sae_weights.safetensors")}
        assert set(rows["other_sae"]) == {sha256(folder / "sae_weights.safetensors")}
        for side, of in (("decoder", lambda w: w["W_dec"]), ("encoder", lambda w: w["W_enc"].T)):
            units = [of(w) / np.linalg.norm(of(w), axis=1, keepdims=True) for w in (first, other)]
            cosine = units[0] @ units[1].T
            found = rows[f"{side}_cosine"].to_numpy()
            assert found == pytest.approx(cosine[rows["feature"], rows["partner"]], abs=1e-5)
            if side == "decoder":
                best = cosine[linear_sum_assignment(cosine, maximize=True)].sum()
                assert found.sum() == pytest.approx(best, abs=1e-4)
        assert sorted(rows["feature"]) == sorted(rows["partner"]) == list(range(len(first["W_dec"])))


def test_sparse_probes_choose_on_train_what_they_are_scored_by_on_test(study, language):
    name = language.codes[""]["language"]
    document = json.loads((study / f"gender/activations/{name}/probe/layer_1.json").read_text())
    told = document["conditions"]["prompt"]["sparse"]
    train, test = (
        [language.pooled("prompt", split, gender) for gender in GENDERS[:2]] for split in ("train", "test")
    )
    orders = math.comb(len(test[0]) + len(test[1]), len(test[0]))
    assert document["conditions"]["prompt"]["least_p"] == max(1 / orders, 1 / (1 + document["permutations"]))
    f = f_oneway(*train).statistic
    for of, size in zip(told, (1, 2, 5, 20), strict=True):
        assert of["columns"] == size and of["chosen"] == np.argsort(-f)[:size].tolist()
    (best,) = told[0]["chosen"]
    sign = np.sign(train[0][:, best].mean() - train[1][:, best].mean())
    assert told[0]["auroc"]["value"] == pytest.approx(auroc(*(sign * part[:, best] for part in test)))


def test_examples_are_the_codes_of_their_sample(study, language):
    name, z = language.codes[""]["language"], language.z()
    rankings = json.loads((study / f"features/joint/{name}/layer_1/rankings.json").read_text())
    shown = next(entry for entry in rankings["examples"]["features"] if entry["examples"])
    rows = language.codes["token"]
    for example in shown["examples"]:
        here = np.flatnonzero(
            (language.sample_id[rows] == example["sample_id"]) & (z[:, shown["feature"]] > 0)
        )
        assert [token[3] for token in example["tokens"]] == language.position[rows[here]].tolist()
        activations = [token[4] for token in example["tokens"]]
        assert activations == pytest.approx(z[here, shown["feature"]], abs=1e-6)
        assert example["max"] == max(activations)


def test_dashboards_by_hand(study, site="1"):
    """Examples, tokens, histograms and neighbours of some features, from codes and decoder alone."""
    folder = study / f"features/joint/dashboards/layer_{site}"
    said = json.loads((folder / "dashboards.json").read_text(encoding="utf-8"))
    tables = {
        name: pq.read_table(folder / f"{name}.parquet").to_pandas()
        for name in ("examples", "tokens", "histograms", "neighbours")
    }
    for code in said["languages"]:
        of = Language(study, code, site)
        of.codes = group(study / f"codes/joint/{code}/layer_{site}.zarr")
        z, token, norm = of.z(), of.codes["token"], of.codes["norm"]
        keep = (of.of_sample("split")[token] == "test") & (norm <= 10 * np.median(norm))
        assert (said["tokens"][code], said["samples"][code]) == (
            keep.sum(),
            len({*of.sample_id[token[keep]]}),
        )
        own = {
            name: table[table["language"] == code] for name, table in tables.items() if "language" in table
        }
        for feature in own["examples"]["feature"].unique()[:: max(1, said["d_sae"] // 8)]:
            on = keep & (z[:, feature] > 0)
            peaks: dict[str, float] = {}
            for t in np.flatnonzero(on):
                name = of.sample_id[token[t]]
                peaks[name] = max(peaks.get(name, 0), z[t, feature])
            examples = own["examples"][own["examples"]["feature"] == feature].set_index("sample_id")
            assert {name: peaks[name] for name in examples.index} == examples["peak"].to_dict()
            captions = of.dataset.loc[examples.index, ["image_id", "caption"]]
            assert captions["image_id"].is_unique and captions["caption"].is_unique
            top = examples[examples["group"] == "top"]
            best = sorted(peaks, key=lambda name: -peaks[name])
            assert top["peak"].iloc[0] == peaks[best[0]] and top["peak"].is_monotonic_decreasing
            left_out = {name for name in best if peaks[name] > top["peak"].min()} - {*top.index}
            beside = of.dataset.loc[[*left_out]]
            assert (
                beside["caption"].isin(captions["caption"]) | beside["image_id"].isin(captions["image_id"])
            ).all()
            tokens = own["tokens"][own["tokens"]["feature"] == feature]
            for name in examples.index[:3]:
                rows = np.flatnonzero(on & (of.sample_id[token] == name))
                stored = tokens[tokens["sample_id"] == name].set_index("position")["activation"].to_dict()
                expected = {of.position[token[t]]: z[t, feature] for t in rows}
                assert stored == expected if len(rows) <= 32 else stored.items() <= expected.items()
            (histogram,) = own["histograms"][own["histograms"]["feature"] == feature].to_dict("records")
            assert histogram["largest"] == max(peaks.values())
            at = np.minimum(
                (z[on, feature].astype("f4") / np.float32(histogram["largest"]) * 20).astype(int), 19
            )
            bins = [histogram[f"bin_{i:02d}"] for i in range(20)]
            assert bins == np.bincount(at, minlength=20).tolist()
    rows = weights(study / f"sae/joint/layer_{site}/seed_0")["W_dec"].astype(float)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -2)
    count = min(8, len(rows) - 1)
    stored = tables["neighbours"]["cosine"].to_numpy().reshape(-1, count)
    np.testing.assert_allclose(stored, -np.sort(-cosines, axis=1)[:, :count], atol=1e-5)
    near = tables["neighbours"]
    assert cosines[near["feature"], near["neighbour"]] == pytest.approx(near["cosine"].to_numpy(), abs=1e-5)


def test_the_pages_of_features_are_as_documented(study):
    """Every file hands over what its place says, and the folder needs nothing else."""
    folder = study / "report/features"

    def data(name: str):
        text = (folder / "data" / f"{name}.js").read_text(encoding="utf-8")
        start = f"Explorer.give({json.dumps(name)},"
        assert text.startswith(start) and text.endswith(");\n")
        return json.loads(text[len(start) : -3])

    told, samples = data("study"), []
    for k in range(math.ceil(told["samples"]["count"] / told["samples"]["perFile"])):
        samples += data(f"samples/{k}")
    assert len(samples) == told["samples"]["count"] and told["samples"]["perFile"] == 500
    for number, sae in enumerate(told["saes"]):
        table, uses = data(f"tables/{number}"), data(f"uses/{number}")
        columns = {
            name: np.frombuffer(b64decode(text), "<f4") for name, text in (table["numbers"] | uses).items()
        }
        assert {len(columns[name]) for name in table["numbers"]} == {sae["features"]}
        assert {len(words) for words in table["words"].values()} == {sae["features"]}
        files = [data(f"features/{number}/{k}") for k in range(math.ceil(sae["features"] / 200))]
        live = {int(name): of for file in files for name, of in file.items()}
        assert all(int(name) // 200 == k for k, file in enumerate(files) for name in file)
        assert {*live} == {*np.flatnonzero(columns["state"])} and sae["dead"] == sae["features"] - len(live)
        feature = next(iter(live))
        used = columns["samples"][int(columns["starts"][feature]) : int(columns["starts"][feature + 1])]
        shown = {number for rows in live[feature]["examples"].values() for _, number, _ in rows}
        assert {*used} == shown and all(0 <= i < len(samples) for i in shown)
        for _, path, digest in sae["made"]:
            assert (study.parents[1] / path).exists() and len(digest) == 64
    pictures = {sample["picture"] for sample in samples}
    assert {path.stem for path in (folder / "pictures").iterdir()} == {*map(str, pictures)}
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert {path.name for path in folder.glob("*.*")} == {
        "index.html",
        *re.findall(r'(?:src|href)="([\w.]+)"', page),
    }


def auroc(female: np.ndarray, male: np.ndarray) -> float:
    """Share of the pairs in which the woman's score is the larger; ties count half."""
    difference = female[:, None] - male[None, :]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def test_the_bag_of_words_has_a_column_for_each_word_of_train(study):
    document = json.loads((study / "gender/words/en/probe.json").read_text())
    rows = pq.read_table(study / "dataset/en.parquet").to_pylist()
    train = [row["prompt"] + " " + row["caption"] for row in rows if row["split"] == "train"]
    assert document["width"] == len(set(re.findall(r"\w+", " ".join(train).casefold())))
    assert set(document["conditions"]) == {"prompt", "caption", "caption_whole"}
    for told in document["conditions"].values():
        assert told["tested"] == (told["because"] is None) == (told["p"] is not None)
        assert told["leaks"] == (None if told["p"] is None else told["p"] <= document["alpha"])
    masked = sum(
        any(start < word.end() and word.start() < end for start, end in json.loads(row["label_spans"]))
        for row in rows
        for word in re.finditer(r"\w+", row["caption"])
    )
    found = {name: told["masked"] for name, told in document["conditions"].items()}
    assert found == {"prompt": 0, "caption": masked, "caption_whole": 0} and masked > 0
    assert document["conditions"]["prompt"]["because"].startswith("what is read is the same")


def test_q_and_claims_are_those_of_the_families(study):
    summary = json.loads((study / "summary.json").read_text())
    families = {}
    for name, records in summary["records"].items():
        for record in records:
            if record.get("q_family") is not None:
                families.setdefault((name, record["q_family"]), []).append(record)
    corrected = {
        of: false_discovery_control([record["p"] for record in family]) for of, family in families.items()
    }
    # Holm: the least p times the number of claims, the next times one less, and none below the one before
    left, least = len(summary["claims"]), dict.fromkeys(families, 0.0)
    reached = 0.0
    for claim in sorted(
        summary["claims"], key=lambda claim: corrected[claim["records"], claim["family"]].min()
    ):
        of = claim["records"], claim["family"]
        least[of] = reached = max(reached, min(1.0, left * corrected[of].min()))
        left -= 1
    for of, family in families.items():
        expected = np.maximum(corrected[of], least[of])
        assert [record["q"] for record in family] == pytest.approx(expected.tolist())
    for claim in summary["claims"]:
        family = families[claim["records"], claim["family"]]
        assert claim["tests"] == len(family)
        assert claim["q"] == pytest.approx(min(record["q"] for record in family))
        assert claim["holds"] <= sum(record["q"] <= summary["level"] for record in family)
        assert claim["reachable"] == any(record["reachable"] for record in family)
    for of, family in families.items():
        for record in family:
            # least_p counts orders, p draws of them
            assert 0 <= 0.5 * record["least_p"] <= record["p"], of


@pytest.mark.long
def test_controls_are_the_numbers_of_both_summaries(study):
    (document,) = documents(study, "controls")
    summaries = {
        control: json.loads((study.parent / f"toy{control and '__' + control}/summary.json").read_text())
        for control in ("", "shuffled")
    }
    assert document["controls"] == ["shuffled"]
    found = {
        (record["control"], *record["of"]): (record["value"], record["low"], record["high"])
        for record in document["records"]
        if record["measure"] == "retrieval"
    }
    expected = {
        (control, r["source"], r["target"]): (r["r1"], r["r1_low"], r["r1_high"])
        for control, summary in summaries.items()
        for r in summary["records"]["retrieval"]
        if r["q_family"] is not None
    }
    assert found == expected and len(found) == 4


def test_verdicts_are_of_the_summaries(study):
    """The statement that reads two counts, in both studies: no more units than sites."""
    (document,) = documents(study, "verdicts")
    names = {path.stem for path in (Path(__file__).parents[1] / "claims").glob("*.yaml")}
    assert {claim["name"] for claim in document["claims"]} == names and len(names) >= 12
    assert document["studies"]["toy"] == "" and document["studies"]["sibling"] == "without"
    (claim,) = (
        claim for claim in document["claims"] if claim["name"] == "languages_share_under_three_percent"
    )
    sharing = json.loads((study / "summary.json").read_text())["records"]["sharing"]
    told = {tuple(e["unit"]): e["value"] for e in claim["estimates"]}
    assert told == {
        (r["corpus"], "–".join(r["languages"]), r["site"]): r["found"] / r["features"]
        for r in sharing
        if r["tested"] and r["features"]
    }
    assert claim["units"]["all"] == len(told) == sum(claim["units"][s] for s in ("holds", "fails", "open"))


def test_transfer_of_the_difference_of_means_by_hand(study):
    languages = {name: Language(study, name) for name in TOY["languages"]}
    document = json.loads((study / "gender/activations/transfer/layer_1.json").read_text())
    for condition, role in (("prompt", "prompt"), ("caption_whole", "caption")):
        told = document["conditions"][condition]
        female, male = (
            {
                (name, split): each.pooled(role, split, gender)
                for name, each in languages.items()
                for split in ("train", "test")
            }
            for gender in ("female", "male")
        )
        direction = {
            name: female[name, "train"].mean(axis=0) - male[name, "train"].mean(axis=0) for name in languages
        }
        for name, lengths in told["languages"].items():
            assert lengths["direction"]["norm"] == pytest.approx(np.linalg.norm(direction[name]), rel=1e-5)
        (cosine,) = told["cosine"]
        first, second = (direction[name] / np.linalg.norm(direction[name]) for name in cosine["languages"])
        assert cosine["value"] == pytest.approx(first @ second, abs=1e-5)
        found = [row for row in told["transfer"] if row["method"] == "difference_of_means"]
        assert len(found) == 4
        for row in found:
            along = direction[row["source"]]
            scores = [group[row["target"], "test"] @ along for group in (female, male)]
            assert row["n"] == dict(zip(("female", "male"), map(len, scores), strict=True))
            target = languages[row["target"]].dataset
            known = target[(target["split"] == "test") & (target["gender"] != "unknown")]
            assert row["groups"] == known["group"].nunique()
            # images whose texts are the same may be tied but for rounding
            assert row["auroc"]["value"] == pytest.approx(
                auroc(*scores), abs=1 / np.prod([*map(len, scores)])
            )


@pytest.mark.long
def test_the_map_of_samples_by_hand(study):
    """Points, principal components, and how many of a point's neighbours have its label."""
    folder = study / "geometry/samples/layer_1"
    document = json.loads((folder / "map.json").read_text())
    points = pq.read_table(folder / "map.parquet").to_pandas()
    x = []
    for name in document["languages"]:
        each = Language(study, name)
        spans = each.of_sample("label_spans")
        words = [json.loads(s) for s in spans]
        hit = [
            any(a < e and b > s for s, e in w)
            for a, b, w in zip(each.char_start, each.char_end, words, strict=True)
        ]
        keep = (each.role == each.roles.index("caption")) & ~np.array(hit)
        keep &= each.norm <= 10 * np.median(each.norm[each.role == each.roles.index("caption")])
        # in this study an image has one caption
        x += [
            each.x[keep & (each.sample_id == f"{image}#0")].mean(axis=0)
            for image in points["image_id"][points["language"] == name]
        ]
    x = np.array(x)
    assert document["points"] == len(points) == len(x) == 2 * document["images"]
    values, vectors = np.linalg.eigh(np.cov(x.T))
    assert document["explained"] == pytest.approx((values / values.sum())[:-3:-1], rel=1e-3)
    along = (x - x.mean(axis=0)) @ vectors[:, -1]
    np.testing.assert_allclose(
        np.abs(points["pca_x"]), np.abs(along), rtol=1e-2, atol=1e-2 * np.abs(along).max()
    )
    group_of = Language(study, "en").dataset.set_index("image_id")["group"]
    groups = points["image_id"].map(group_of).to_numpy(dtype=object)
    distances = np.linalg.norm(x[:, None] - x[None], axis=2)
    for label, unknown in (("gender", ["unknown", "contradictory"]), ("language", [])):
        (row,) = [r for r in document["labels"] if (r["label"], r["space"]) == (label, "activations")]
        here = np.flatnonzero(~points[label].isin(unknown))
        assert (row["points"], row["values"]) == (len(here), 2)
        shares = []
        for i in here:
            others = [j for j in here if groups[j] != groups[i]]
            near = sorted(others, key=lambda j: distances[i, j])[: document["neighbours"]]
            shares.append(np.mean([points[label][j] == points[label][i] for j in near]))
        assert row["share"] == pytest.approx(np.mean(shares), abs=1e-3)


def spread(variances: np.ndarray) -> dict[str, float]:
    p = np.sort(variances / variances.sum())[::-1].clip(min=1e-300)
    bits = -(p * np.log2(p)).sum()
    rank = int(np.argmax(np.cumsum(p) >= 0.95)) + 1
    return {"bits": bits, "effective_rank": 2**bits, "participation_ratio": 1 / (p**2).sum(), "rank_95": rank}


@pytest.mark.long
def test_directions_in_use_by_hand(study):
    document = json.loads((study / "geometry/dimensions/layer_1.json").read_text())
    for name, told in document["of"].items():
        each = Language(study, name)
        keep = each.role == each.roles.index("caption")
        keep &= each.norm <= 10 * np.median(each.norm[keep])
        x = each.x[keep]
        assert told["tokens"] == len(x)
        found = spread(np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2)
        assert {key: told[key] for key in found} == pytest.approx(found, rel=1e-5)


@pytest.mark.long
def test_the_matrix_and_the_rows_of_an_sae_by_hand(study):
    document = json.loads((study / "geometry/dictionary/joint/layer_1.json").read_text())
    w = {name: tensor.astype(np.float64) for name, tensor in weights(study / SAE).items()}
    dense = w["W_enc"] @ w["W_dec"]
    values, eigenvalues = np.linalg.svd(dense, compute_uv=False), np.linalg.eigvals(dense)
    found = spread(values**2) | {"norm": np.linalg.norm(dense), "largest": values[0]}
    found["positive"] = eigenvalues.real.sum() / np.abs(eigenvalues).sum()
    assert document["matrix"] == pytest.approx(found, rel=1e-4)
    live = np.zeros(document["d_sae"], dtype=bool)
    for name in TOY["languages"]:
        table = pq.read_table(study / f"features/joint/{name}/layer_1/features.parquet")
        live |= table["live"].to_numpy()
    assert document["clusters"]["features"] == live.sum()
    assert sum(cluster["features"] for cluster in document["clusters"]["of"]) == live.sum()


@pytest.mark.long
def test_the_circuits_of_a_head_by_hand(study):
    """Of the embedded Gemma 3: the key-value head of a query head, the gains 1 + w of its norms."""
    document = json.loads((study / "geometry/circuits.json").read_text())
    config = json.loads(next(study.parents[1].glob("resources/planted/config.json")).read_text())[
        "text_config"
    ]
    with safe_open(study.parents[1] / "resources/planted/model.safetensors", "numpy") as file:
        names = {key.split("language_model.")[-1].removeprefix("model."): key for key in file.keys()}

        def weight(name: str) -> np.ndarray:
            return file.get_tensor(names[f"layers.1.{name}.weight"]).astype(np.float64)

        gain, behind = 1 + weight("input_layernorm"), 1 + weight("post_attention_layernorm")
        q, k, v, o = (weight(f"self_attn.{name}_proj") for name in "qkvo")
        own = [1 + weight(f"self_attn.{name}_norm") for name in "qk"]
    d, heads, kv = config["head_dim"], config["num_attention_heads"], config["num_key_value_heads"]
    assert len(document["heads"]) == heads * document["layers"] and document["d_head"] == d
    for told in document["heads"][heads : 2 * heads]:
        h, g = told["head"], told["head"] // (heads // kv)
        assert (told["layer"], told["kv_head"]) == (1, g)
        at, of = slice(h * d, (h + 1) * d), slice(g * d, (g + 1) * d)
        ov = (v[of] * gain).T @ (o[:, at] * behind[:, None]).T
        qk = (q[at] * gain).T @ np.diag(own[0] * own[1]) @ (k[of] * gain)
        for name, dense in (("ov", ov), ("qk", qk)):
            assert told[name]["norm"] == pytest.approx(np.linalg.norm(dense), rel=1e-5)
            found = spread(np.linalg.svd(dense, compute_uv=False) ** 2)
            assert told[name]["effective_rank"] == pytest.approx(found["effective_rank"], rel=1e-4)


def hsic(x: np.ndarray, y: np.ndarray, *, unbiased: bool) -> float:
    """Of linear kernels: tr(KHLH), or the U-statistic with every index different (Song et al. 2012)."""
    n = len(x)
    k, m = x @ x.T, y @ y.T
    if not unbiased:
        centre = np.eye(n) - 1 / n
        return np.trace(k @ centre @ m @ centre)
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    cross = np.trace(k @ m) + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * (k @ m).sum() / (n - 2)
    return cross / (n * (n - 3))


def cka(x: np.ndarray, y: np.ndarray, *, unbiased: bool) -> float:
    own = hsic(x, x, unbiased=unbiased) * hsic(y, y, unbiased=unbiased)
    return hsic(x, y, unbiased=unbiased) / np.sqrt(own)


def alone(study: Path, language: str, split: str) -> np.ndarray:
    """(n, d) what the captions of a split are without their pictures, by sample id."""
    table = pq.read_table(study / f"dataset/{language}.parquet").to_pandas().set_index("sample_id")
    means = {}
    for part in sorted((study / f"activations/{language}/text_alone/layer_1").iterdir()):
        found = group(part)
        means |= dict(zip(found[""]["sample_ids"], found["values"].astype(np.float64), strict=True))
    return np.array([means[name] for name in sorted(table.index[table["split"] == split])])


def test_retrieval_and_cka_by_hand(study):
    languages = {name: Language(study, name) for name in TOY["languages"]}
    (told,) = json.loads((study / "alignment/retrieval/layer_1.json").read_text())["pairs"]
    x = {
        (read, name, split): alone(study, name, split) if read == "alone" else each.pooled(read, split)
        for name, each in languages.items()
        for split in ("train", "test")
        for read in ("caption", "alone", "prompt")
    }
    n = len(x["caption", "en", "test"])
    assert told["images"] == told["images_in_common"] == n and told["chance"]["r1"] == pytest.approx(1 / n)
    assert {(row["read"], row["source"], row["target"], row["centred"]) for row in told["retrieval"]} == {
        (read, *pair, centred)
        for read in ("caption", "alone", "prompt")
        for pair in permutations(TOY["languages"])
        for centred in (True, False)
    }
    scores = {}
    for row in told["retrieval"]:
        sought = "caption" if row["read"] == "prompt" else row["read"]
        query, candidates = (
            x[read, name, "test"] - (x[read, name, "train"].mean(axis=0) if row["centred"] else 0)
            for read, name in ((row["read"], row["source"]), (sought, row["target"]))
        )
        cosine = (query / np.linalg.norm(query, axis=1, keepdims=True)) @ (
            candidates / np.linalg.norm(candidates, axis=1, keepdims=True)
        ).T
        ahead = (cosine > np.diag(cosine)[:, None] + 1e-9).sum(axis=1)
        tied = (np.abs(cosine - np.diag(cosine)[:, None]) <= 1e-9).sum(axis=1) - 1
        rank = 1 + ahead + tied / 2
        for score, value in (("r1", rank <= 1), ("r5", rank <= 5), ("mrr", 1 / rank)):
            assert row[score]["value"] == pytest.approx(value.mean(), abs=1e-6)
            scores[row["read"], row["source"], row["centred"], score] = value.mean()
    for row in told["above_prompt"]:
        for score in ("r1", "r5", "mrr"):
            caption, prompt = (scores[read, row["source"], True, score] for read in ("caption", "prompt"))
            assert row[score]["value"] == pytest.approx(caption - prompt, abs=1e-6)
    for row in told["cka"]:
        first, second = row["languages"]
        sides = (
            x[row["read"], first, "test"],
            x["caption" if row["read"] == "prompt" else row["read"], second, "test"],
        )
        for name in ("linear", "unbiased"):
            by_hand = cka(*sides, unbiased=name == "unbiased")
            assert row[name]["value"] == pytest.approx(by_hand, abs=1e-6)


def test_shared_features_by_hand(study):
    folder = study / "alignment/sharing/joint/layer_1"
    table = pq.read_table(folder / "features.parquet").to_pandas().set_index("feature")
    told = json.loads((folder / "sharing.json").read_text())
    (pair,) = told["pairs"]
    sides, names = {}, TOY["languages"]
    for place, name in zip(("first", "second"), names, strict=True):
        each = Language(study, name)
        rows, z = each.codes["token"], each.z()
        of_caption = each.role[rows] == each.roles.index("caption")
        test = sorted(each.dataset.index[each.dataset["split"] == "test"])
        here = [of_caption & (each.sample_id[rows] == sample) for sample in test]
        sides[place] = {
            "mean": np.array([z[mask].mean(axis=0) for mask in here]),
            "token_rate": np.array([(z[mask] > 0).mean(axis=0) for mask in here]),
            "sample_rate": np.array([(z[mask] > 0).any(axis=0) for mask in here]).astype(float),
        }
        assert told["tokens_per_caption"][name] == pytest.approx(np.mean([mask.sum() for mask in here]))
        for column, values in sides[place].items():
            assert table[f"{column}_{place}"].to_numpy() == pytest.approx(values.mean(axis=0), abs=1e-6)
        live = sides[place]["sample_rate"].sum(axis=0) >= told["live_units"]
        assert (table[f"live_{place}"] == live).all()
    assert pair["units"] == pair["groups"] == pair["images"] == len(here)
    first, second = sides["first"], sides["second"]
    known = table["r"].notna()
    assert not known[~(table["live_first"] & table["live_second"])].any() and known.any()
    for feature in table.index[known]:
        by_hand = np.corrcoef(first["mean"][:, feature], second["mean"][:, feature])[0, 1]
        assert table.loc[feature, "r"] == pytest.approx(by_hand, abs=1e-5)
    for rate, name in (("token_rate", "token_selectivity"), ("sample_rate", "sample_selectivity")):
        f = [side[rate].mean(axis=0) for side in (first, second)]
        fires = f[0] + f[1] > 0
        by_hand = (f[0] - f[1])[fires] / (f[0] + f[1])[fires]
        assert table[name].to_numpy()[fires] == pytest.approx(by_hand, abs=1e-6)
        assert table[name].isna().to_numpy()[~fires].all()
    assert table["nu_first"].to_numpy() == pytest.approx(
        (table["mean_first"] - table["mean_second"]).to_numpy()
    )
    for what, tests in (
        ("shared", table["live_first"] & table["live_second"]),
        ("specific", table["live_first"] | table["live_second"]),
    ):
        assert (table[f"p_{what}"].notna() == tests).all() and pair[what]["features"] == tests.sum()
        corrected = false_discovery_control(table.loc[tests, f"p_{what}"])
        assert table.loc[tests, f"q_{what}"].to_numpy() == pytest.approx(corrected, abs=1e-6)
        assert pair[what]["found"] == (corrected <= told["alpha"]).sum()
    assert sum(of["features"] for of in pair["classes"]) == pair["specific"]["features"]
    assert (table["beta_own"].notna() == (table["specific"] != "")).all()
    assert pair["scaling"]["features"] == (table["specific"] != "").sum()


@pytest.mark.parametrize("name", ["toy", pytest.param("twins", marks=pytest.mark.long)])
def test_what_is_halved_is_what_other_documents_say(study, name):
    """Cosine, AUROC, CKA and R@1 of a site are measured once more for their deviations, which sum to nothing."""
    folder = study.with_name(name)
    (pair,) = json.loads((folder / "alignment/representations/layer_1.json").read_text())["pairs"]
    transfer = json.loads((folder / "gender/activations/transfer/layer_1.json").read_text())["conditions"]
    (retrieval,) = json.loads((folder / "alignment/retrieval/layer_1.json").read_text())["pairs"]
    assert {of["condition"] for of in pair["gender"]} == set(transfer)
    for of in pair["gender"]:
        (cosine,) = transfer[of["condition"]]["cosine"]
        assert of["cosine"]["value"] == pytest.approx(cosine["value"])
        rows = {
            (r["source"], r["target"], r["method"]): r["auroc"] for r in transfer[of["condition"]]["transfer"]
        }
        for row in of["transfer"]:
            own = rows[row["source"], row["target"], "difference_of_means"]
            # a tie but for rounding may fall to either side
            assert row["value"] == pytest.approx(own["value"], abs=0.02)
            assert sum(row["deviations"]) == pytest.approx(0, abs=1e-3)
    for read in pair["reads"]:
        alike = next(row for row in retrieval["cka"] if row["read"] == read["read"])
        assert read["cka"]["value"] == pytest.approx(alike["unbiased"]["value"], abs=1e-6)
        for row in read["retrieval"]:
            wanted = {"source": row["source"], "target": row["target"], "read": read["read"], "centred": True}
            (own,) = [r for r in retrieval["retrieval"] if wanted.items() <= r.items()]
            assert row["value"] == pytest.approx(own["r1"]["value"])


@pytest.mark.long
def test_layers_compared_by_hand(study):
    folder = study.with_name("twins")
    document = json.loads((folder / "alignment/divergence.json").read_text())
    read = {
        site: json.loads((folder / f"alignment/representations/layer_{site}.json").read_text())
        for site in "12"
    }
    layers = {site: json.loads((folder / f"layers/{site}.json").read_text()) for site in "12"}
    (of,) = [s for s in document["series"] if (s["measure"], s["of"]) == ("cosine", "prompt")]
    told = {site: read[site]["pairs"][0]["gender"][0]["cosine"] for site in "12"}
    draws = np.array([told[site]["value"] + np.array(told[site]["deviations"]) for site in "12"])
    for point, drawn in zip(of["points"], draws, strict=True):
        bounds = np.clip(np.quantile(drawn, [0.025, 0.975]), -1, 1)
        assert [point["low"], point["high"]] == pytest.approx(bounds.tolist())
        directions = next(r for r in layers[point["site"]]["directions"] if r["condition"] == "prompt")
        assert point["null_high"] == directions["null_high"]
    for name, best in (("highest", draws.argmax(axis=0)), ("lowest", draws.argmin(axis=0))):
        shares = [np.mean(best == i) for i in range(2)]
        assert of[name]["share"] == pytest.approx(shares["12".index(of[name]["site"])])
        assert sum(shares["12".index(site)] for site in of[name]["within"]) >= document["covered"] - 1e-9
    values, noise = draws.mean(axis=1), draws - draws.mean(axis=1, keepdims=True)
    squares = np.square(noise - noise.mean(axis=0)).sum(axis=0)
    as_large = 1 + np.sum(squares >= np.square(values - values.mean()).sum())
    assert of["differs"]["p"] == pytest.approx(as_large / (1 + len(squares)), abs=0.01)
    corrected = false_discovery_control([s["differs"]["p"] for s in document["series"]])
    assert [s["differs"]["q"] for s in document["series"]] == pytest.approx(corrected.tolist())


def bounded(of: dict) -> bool:
    return of["low"] <= of["value"] <= of["high"]


@pytest.mark.long
def test_ablated_features_by_hand(study):
    """Who is ablated, by the codes of select; the means and their place among those of one from each row of features."""
    told = json.loads((study / "alignment/ablation/joint/layer_1.json").read_text())
    (pair,) = told["pairs"]
    rates, means = {}, {}
    for name in TOY["languages"]:
        each = Language(study, name)
        rows, z = each.codes["token"], each.z()
        of_caption = each.role[rows] == each.roles.index("caption")
        select = sorted(each.dataset.index[each.dataset["split"] == "select"])
        here = [of_caption & (each.sample_id[rows] == sample) for sample in select]
        rates[name] = np.mean([(z[mask] > 0).mean(axis=0) for mask in here], axis=0)
        means[name] = np.mean([z[mask].mean(axis=0) for mask in here], axis=0)
    features = pair["features"]
    for row in features:
        for name in TOY["languages"]:
            assert row["token_rate"][name] == pytest.approx(rates[name][row["feature"]], abs=1e-6)
            assert bounded(row["cost"][name])
        if row["role"] == "control":
            ratio = rates[row["language"]][row["feature"]] / rates[row["language"]][row["beside"]]
            assert 1 / told["as_frequent"] - 1e-9 <= ratio <= told["as_frequent"] + 1e-9
    for of, (name, other) in zip(pair["specific"], permutations(TOY["languages"], 2), strict=True):
        assert of["language"] == name
        own = [row for row in features if (row["role"], row["language"]) == ("specific", name)]
        beside = [
            [r for r in features if r["role"] == "control" and r["beside"] == row["feature"]] for row in own
        ]
        assert (of["features"], of["controls"]) == (len(own), sum(map(len, beside)))
        nu = [means[name][row["feature"]] - means[other][row["feature"]] for row in own]
        assert nu == sorted(nu, reverse=True) and of["tested"] == (of["controls"] >= told["controls"])
        if not own:
            continue
        strata = [[row, *controls] for row, controls in zip(own, beside, strict=True)]
        costs = {
            key: np.array([[row["cost"][language]["value"] for row in rows] for rows in strata])
            for key, language in (("own", name), ("other", other))
        }
        costs["difference"] = costs["own"] - costs["other"]
        for key, values in costs.items():
            assert of["of"][key]["value"] == pytest.approx(values[:, 0].mean(), abs=1e-9)
            assert of["beside"][key]["value"] == pytest.approx(values[:, 1:].mean(), abs=1e-9)
            if of["tested"] and key != "other":
                every = np.array([np.mean(one) for one in product(*values)])
                exact = np.mean(every >= values[:, 0].mean() - 1e-12)
                assert of["null"][key]["p"] == pytest.approx(exact, abs=0.02)
    shared = [row["cost"] for row in features if row["role"] == "shared"]
    assert pair["shared"]["features"] == len(shared)
    if shared:
        mean = np.mean([cost["en"]["value"] - cost["ar"]["value"] for cost in shared])
        assert pair["shared"]["of"]["difference"]["value"] == pytest.approx(mean, abs=1e-9)


@pytest.mark.long
def test_steering_by_hand(study):
    """The strength by the rule, how far it moves and beside what, from the doses alone; features by the effects."""
    folder = study / "interventions/steering/joint/layer_1"
    told = json.loads((folder / "steering.json").read_text())
    doses = pq.read_table(folder / "doses.parquet").to_pandas()
    steered = doses[doses["how"] == "steer"].set_index(["language", "method", "found_in", "strength"])
    assert set(steered["kl"] >= 0) == {True} and np.isclose(told["strengths"], [0.5, 2]).all()
    for language, of in told["of"].items():
        sets = [str(number) for number in range(told["random_sets"])]

        def moved(method, found_in, strength, language=language):
            up, down = (
                steered.loc[(language, method, found_in, s)]["p_female"] for s in (strength, -strength)
            )
            return (up - down) / 2

        for arm in of["arms"]:
            method, source, strength = arm["method"], arm["found_in"], arm["strength"]
            assert arm["moved"]["value"] == pytest.approx(moved(method, source, strength), abs=1e-9)
            random = np.abs([moved("random", number, strength) for number in sets])
            beside = arm["random"]["same_length"]
            assert beside["q95"] == pytest.approx(np.quantile(random, 0.95))
            assert beside["p"] == pytest.approx(
                (1 + np.sum(random >= arm["moved"]["value"])) / (1 + len(sets))
            )
            cost = {
                s: max(steered.loc[(language, method, source, w)]["kl"] for w in (s, -s))
                for s in told["strengths"]
            }
            within = [s for s in told["strengths"] if cost[s] <= told["max_kl"]]
            assert strength in told["strengths"] and arm["within_budget"] == (strength in within)
            if method == "effect" and source == language:
                table = pq.read_table(study / f"gender/joint/{language}/layer_1/effects.parquet").to_pandas()
                own = table[
                    (table["condition"] == told["condition"]) & (table["split"] == "select") & table["live"]
                ]
                own = own[own["d"].abs() > 0].sort_values("d", key=lambda d: -d.abs(), kind="stable")
                assert [f["feature"] for f in arm["features"]] == own["feature"].head(
                    told["features"]
                ).tolist()
                assert [f["sign"] for f in arm["features"]] == np.sign(own["d"]).head(
                    told["features"]
                ).tolist()


@pytest.mark.long
def test_substituted_features_by_hand(study):
    """Order and scale, by both SAEs on the activations of select; shares by the costs; and who is matched with whom."""
    twins = study.with_name("twins")
    told = json.loads((twins / "alignment/substitution/layer_1.json").read_text())
    table = pq.read_table(twins / "alignment/matching/layer_1/pairs.parquet").to_pandas()
    places = [(of["role"], of["language"], of["first"], of["second"]) for of in told["comparisons"]]
    assert places == [
        *(("languages", a, f"{a}/0", f"{b}/0") for a, b in permutations(TOY["languages"], 2)),
        *(("seeds", a, f"{a}/0", f"{a}/1") for a in TOY["languages"]),
        *(("frozen", a, f"{a}/frozen", f"{b}/frozen") for a, b in permutations(TOY["languages"], 2)),
    ]
    for of in told["comparisons"]:
        for point in of["curve"]:
            ablated = point["cost"]["ablated"]["value"]
            for name, share in point["recovered"].items():
                assert (share["value"] is None) == (point["cost"]["ablated"]["low"] <= 0)
                if share["value"] is not None:
                    by_hand = (ablated - point["cost"][name]["value"]) / ablated
                    assert share["value"] == pytest.approx(by_hand, abs=1e-6)
        assert [point["n"] for point in of["curve"]][-1] == of["pairs"] <= of["matched"]
    for of in told["comparisons"][:2]:
        each = Language(twins, of["language"])
        folders = [twins / f"sae/{name.split('/')[0]}/layer_1/seed_0" for name in (of["first"], of["second"])]
        pairs = table[["feature", "partner"]].to_numpy()[:, :: 1 if of["language"] == "en" else -1]
        read = np.isin(each.role, [each.roles.index(role) for role in ("prompt", "caption")])
        read &= each.of_sample("split") == "select"
        x = each.x[read][each.norm[read] <= 10 * np.median(each.norm[read])]
        z, other = (encoded(folder, x)[:, pairs[:, side]] for side, folder in enumerate(folders))
        # the activations that are stored are rounded
        strength = dict(zip(pairs[:, 0], np.square(z).mean(axis=0), strict=True))
        strongest = sorted(strength.values(), reverse=True)[: len(of["features"])]
        assert [strength[row["feature"]] for row in of["features"]] == pytest.approx(strongest, rel=0.05)
        place = {feature: i for i, (feature, _) in enumerate(pairs)}
        own = [place[row["feature"]] for row in of["features"]]
        assert [row["partner"] for row in of["features"]] == pairs[own, 1].tolist()
        scale = (z * other).sum(axis=0) / np.maximum(np.square(other).sum(axis=0), 1e-30)
        # of two features about as strong on a prompt's token, the rounding decides which of them is among the k
        near = np.isclose([row["scale"] for row in of["features"]], scale[own], rtol=0.02, atol=0.01)
        assert near.mean() >= 0.9
        costs = [[row["cost"][side]["value"] for row in of["features"]] for side in ("first", "second")]
        (effect,) = [e for e in of["effects"] if e["outcome"] == "ce"]
        assert effect["spearman"]["value"] == pytest.approx(spearmanr(*costs)[0], abs=1e-6)
        assert effect["pearson"] == pytest.approx(np.corrcoef(*costs)[0, 1], abs=1e-6)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def sinkhorn(kernel: np.ndarray) -> np.ndarray:
    """The plan of this kernel between uniform masses."""
    for _ in range(2000):
        kernel = kernel / kernel.sum(axis=1, keepdims=True) / len(kernel)
        kernel = kernel / kernel.sum(axis=0) / kernel.shape[1]
    return kernel


@pytest.mark.long
def test_matched_features_by_hand(study):
    twins = study.with_name("twins")
    table = pq.read_table(twins / "alignment/matching/layer_1/pairs.parquet").to_pandas()
    told = json.loads((twins / "alignment/matching/layer_1/matching.json").read_text())
    (pair,) = told["pairs"]
    rows = {}
    for language in TOY["languages"]:
        features = pq.read_table(
            twins / f"features/{language}/{language}/layer_1/features.parquet"
        ).to_pandas()
        folder = twins / f"sae/{language}/layer_1/seed_0"
        w = weights(folder)
        assert sha256(folder / "sae_weights.safetensors") in pair["saes"]
        live = features.loc[features["live"], "feature"].to_numpy()
        rows[language] = live, {"decoder": unit(w["W_dec"])[live], "encoder": unit(w["W_enc"].T)[live]}
    (first, one), (second, other) = rows.values()
    partners = {}
    for side in ("decoder", "encoder"):
        cosine = one[side] @ other[side].T
        matched = linear_sum_assignment(-cosine)
        partners[side] = dict(zip(first[matched[0]], second[matched[1]], strict=True))
        assert pair["mcc"][side] == pytest.approx(cosine[matched].mean(), abs=1e-5)
        assert pair["mmcs"][side] == pytest.approx(
            [cosine.max(axis=1).mean(), cosine.max(axis=0).mean()], abs=1e-5
        )
        if side == "decoder":
            soft, plan = pair["transport"], sinkhorn(np.exp((cosine - 1) / told["epsilon"]))
            assert soft["cost"] == pytest.approx((plan * (1 - cosine)).sum(), rel=1e-2)
            entropy = -(plan * np.log(np.maximum(plan, 1e-300))).sum()
            assert soft["partners"] == pytest.approx(np.exp(entropy - np.log(len(first))), rel=2e-2)
            assert soft["on_matched"] == pytest.approx(plan[matched].sum(), rel=2e-2)
        by_id = cosine[np.searchsorted(first, table["feature"]), np.searchsorted(second, table["partner"])]
        assert table[f"{side}_cosine"].to_numpy() == pytest.approx(by_id, abs=1e-5)
    assert dict(zip(table["feature"], table["partner"], strict=True)) == partners["decoder"]
    agrees = [
        partners["encoder"].get(f) == p for f, p in zip(table["feature"], table["partner"], strict=True)
    ]
    assert table["same_partner"].tolist() == agrees
    least = table[["decoder_cosine", "encoder_cosine"]].min(axis=1)
    assert table["shared"].tolist() == (table["same_partner"] & (least >= told["shared_from"])).tolist()
    curve = [(table["same_partner"] & (least >= threshold)).mean() for threshold in told["thresholds"]]
    assert pair["curve"] == pytest.approx(curve)
    assert [of["names"] for of in pair["ceilings"]] == [["en/0", "en/1"], ["ar/0", "ar/1"]]
    assert [of["role"] for of in pair["floors"]] == ["turned", "frozen"]
    for of in pair["clbas"]:
        d = []
        for language, name in zip(TOY["languages"], ("feature", "partner"), strict=True):
            effects = pq.read_table(
                twins / f"gender/{language}/{language}/layer_1/effects.parquet"
            ).to_pandas()
            effects = effects[
                (effects["condition"] == of["condition"]) & (effects["split"] == "test")
            ].set_index("feature")
            d.append(effects["d"].where(effects["live"]).reindex(table[name]).to_numpy())
        known = (
            np.isfinite(d[0]) & np.isfinite(d[1]) & (table["shared"].to_numpy() | (of["family"] == "matched"))
        )
        assert of["features"] == known.sum()
        if of["tested"]:
            assert of["value"] == pytest.approx(spearmanr(d[0][known], d[1][known])[0], abs=1e-6)


@pytest.mark.parametrize("tongue", TOY["languages"])
def test_cka_of_two_studies_by_hand(study, tongue):
    document = json.loads((study / f"comparison/sibling/{tongue}/comparison.json").read_text())
    x = {
        (name, site): np.concatenate(
            [
                Language(study.with_name(name), tongue, site).pooled("caption", split)
                for split in ("train", "select", "test")
            ]
        )
        for name, site in (("toy", "1"), ("sibling", "2"))
    }
    assert document["samples"] == document["samples_available"] == len(x["toy", "1"])
    assert len(document["pairs"]) == 3
    for pair in document["pairs"]:
        sides = [x[pair[f"model_{side}"], pair[f"site_{side}"]] for side in "ab"]
        for name in ("linear", "unbiased"):
            by_hand = cka(*sides, unbiased=name == "unbiased")
            assert pair[f"{name}_cka"] == pytest.approx(by_hand, abs=2e-6)


def test_generated_tokens_are_those_of_the_texts(study):
    """The same ids and spans in the table, in the metadata and beside the activations; joined they are the text."""
    answers = Language(study.with_name("answers"), "ar")
    said = json.loads((study.with_name("answers") / "texts/metadata.json").read_text())["texts"]
    described = {text["sample_id"]: text for text in said}
    assert set(answers.dataset.index) <= described.keys()
    for name, row in answers.dataset.iterrows():
        text = described[name]
        assert text["generated_text"] == row["caption"] and text["prompt"] == row["prompt"]
        ids, starts, ends = (json.loads(row[column]) for column in ("token_ids", "char_start", "char_end"))
        assert text["token_ids"] == ids
        assert text["offsets"] == [list(span) for span in zip(starts, ends, strict=True)]
        here = (answers.sample_id == name) & (answers.role == answers.roles.index("generated"))
        placed = [i for i, start in enumerate(starts) if start >= 0]
        assert answers.token_id[here].tolist() == [ids[i] for i in placed]
        assert answers.char_start[here].tolist() == [starts[i] for i in placed]
        assert answers.char_end[here].tolist() == [ends[i] for i in placed]
        shown = [row["caption"][max(starts[i], ends[i - 1] if i else 0) : ends[i]] for i in placed]
        assert "".join(shown) == row["caption"]
        assert row["finish"] == ("length" if len(placed) == 8 else "eos")


def test_labels_are_tried_as_the_page_says(study):
    """By hand: where features fire, which n-grams a text has, what was answered, and how well that tells."""
    folder = study / "descriptions/joint"
    described = json.loads((folder / "examples/layer_1.json").read_text())
    ngrams = json.loads((folder / "ngrams/layer_1.json").read_text())
    labels = {
        (entry["feature"], language): {ngram["ngram"] for ngram in of["ngrams"]}
        for entry in ngrams["features"]
        for language, of in entry["languages"].items()
    }
    asked = json.loads((folder / "answers/detections/layer_1.json").read_text())["asked"]
    rows = json.loads((folder / "layer_1.json").read_text())["rows"]
    assert {row["method"] for row in rows} == {"ngrams", "endpoint"}
    tried = 0
    for tongue in TOY["languages"]:
        stored = Language(study, tongue)
        token, norm, z = stored.codes["token"], stored.codes["norm"], stored.z()
        text = stored.role[token] == stored.roles.index("caption")
        text &= norm <= 10 * np.median(norm[text])
        samples = stored.sample_id[token]
        for entry in described["features"]:
            of, feature = entry["languages"][tongue], entry["feature"]
            firing = set(samples[text & (z[:, feature] > 0)])
            for split, counts in of["fires_in"].items():
                ids = set(stored.dataset.index[stored.dataset["split"] == split])
                assert counts == {"texts": len(ids), "firing": len(ids & firing)}
            for held in of["held_out"]:
                assert stored.dataset["split"][held["sample_id"]] == "test"
                assert (held["sample_id"] in firing) == held["fires"]
            for row in rows:
                if (row["feature"], row["language"]) != (feature, tongue) or row["accuracy"] is None:
                    continue
                if row["method"] == "ngrams":
                    said = [
                        any(
                            f" {ngram} " in f" {plain(held['caption'])} " for ngram in labels[feature, tongue]
                        )
                        for held in of["held_out"]
                    ]
                else:
                    said = [False] * len(of["held_out"])
                    for one in asked:
                        if (one["feature"], one["of"], one["language"]) == (feature, feature, tongue):
                            numbers = json.loads(re.search(r"\{.*\}", one["answer"])[0])["matches"]
                            for number in numbers:
                                said[one["start"] + number - 1] = True
                right = [one == held["fires"] for one, held in zip(said, of["held_out"], strict=True)]
                assert row["accuracy"]["value"] == pytest.approx(np.mean(right))
                tried += 1
    assert tried


def plain(text: str) -> str:
    """The words of a text of the embedded study as its n-grams have them."""
    words = re.findall(r"\w+", text.casefold())
    return " ".join(re.sub("[أإآ]", "ا", word).replace("ى", "ي") for word in words)


def test_no_key_is_in_a_file_though_the_server_answers_with_it(study):
    files = [file for file in study.parents[1].rglob("*") if file.is_file() and not file.is_symlink()]
    logs = [file for file in files if "logs" in file.parts or ".snakemake" in file.parts]
    assert any("ask_endpoint" in file.name for file in logs)
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    answers = json.loads((study / "descriptions/joint/answers/labels/layer_1.json").read_text())["features"]
    assert answers and all("[key]" in one["answer"] for one in answers)


def test_inspected_tokens_are_those_of_the_activations(study):
    """Chosen by hand, and their values the stored ones up to the rounding of another batch and of the stored dtype."""
    document = json.loads((study / "tokens/inspection/tokens.json").read_text())
    values = group(study / "tokens/inspection/activations.zarr")["1"].astype(np.float64)
    assert len(values) == len(document["tokens"])
    measures = document["measures"]["1"]
    np.testing.assert_allclose(measures["norm"], np.linalg.norm(values, axis=1), atol=1e-5)
    np.testing.assert_allclose(measures["std"], values.std(axis=1), atol=1e-5)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    np.testing.assert_allclose(document["cosines"]["1"]["activations"], unit @ unit.T, atol=1e-5)
    chosen = {token["text"].strip() for token in document["tokens"] if token["sample"] == "text 1 (ar)"}
    assert any(piece and piece in "للممرضة" for piece in chosen)
    for tongue in TOY["languages"]:
        stored = Language(study, tongue)
        here = (stored.sample_id == "scene_000000#0") & (stored.role == stored.roles.index("prompt"))
        rows = [
            i for i, token in enumerate(document["tokens"]) if token["sample"] == f"scene_000000#0 ({tongue})"
        ]
        positions = [document["tokens"][i]["position"] for i in rows]
        assert positions == stored.position[here][[0, -1]].tolist()
        expected = stored.x[here][[0, -1]]
        assert (np.abs(values[rows] - expected) < 0.01 * np.abs(expected).max()).all()


# the store


def test_objects_are_named_by_digests_as_the_page_computes_them(study):
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    for place in study.parent.glob(".store/objects/*/*"):
        found = {"hashlib": hashlib, "json": json, "folder": place}
        if place.is_dir():
            exec(code, found)
        else:
            found["digest"] = sha256(place)
        assert place.name.split(".")[0] == found["digest"] and place.parent.name == place.name[:2]
        assert not [f for f in [place, *place.rglob("*")] if f.is_file() and f.stat().st_mode & 0o222]


def test_paths_lead_over_an_action_to_an_object(study):
    store = (study.parent / ".store").resolve()
    for name in ARTIFACTS:
        for place in everywhere(study, name):
            links = [place] if place.is_symlink() else [file for file in place.iterdir() if file.is_symlink()]
            assert links, place
            for link in links:
                target = (link.parent / link.readlink()).parts
                action = Path(*target[: target.index("actions") + 3])
                assert link.resolve().is_relative_to(action.resolve())
                assert action.resolve().is_relative_to(store / "objects")


def test_records_are_as_documented_and_say_their_own_keys(study):
    document = Document("record", fields(PAGES, "record"))
    records = list(study.parent.glob(".store/actions/*/*.json"))
    assert records
    for file in records:
        record = json.loads(file.read_text(encoding="utf-8"))
        document.check(record)
        recipe = record["recipe"]
        own = [recipe[name] for name in ("kind", "modules", "versions", "params")]
        text = json.dumps(own, sort_keys=True, ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == recipe["own"]
        if "inputs" in record and recipe["key"] != file.stem:
            text = json.dumps(["cutoff", recipe["own"], [entry["object"] for entry in record["inputs"]]])
            assert hashlib.sha256(text.encode()).hexdigest() == file.stem
    assert document.unseen() == []


def test_grammatical_features_by_hand(study):
    """Of the Arabic nouns for things: partial correlation by least squares, counts and corrected p."""
    folder = study / "gender/joint/ar/grammar/layer_1"
    table = pq.read_table(folder / "features.parquet").to_pandas()
    told = json.loads((folder / "grammar.json").read_text())
    for name in ("semantic", "grammatical"):
        p, q = table[f"p_{name}"], table[f"q_{name}"]
        assert p.notna().sum() == (told[name]["features"] if told[name]["tested"] else 0)
        if told[name]["tested"]:
            assert q[p.notna()].to_numpy() == pytest.approx(false_discovery_control(p[p.notna()]), abs=1e-6)
            assert told[name]["significant"] == (q <= told["alpha"]).sum()
    means, marks = table["q_semantic"] <= told["alpha"], table["q_grammatical"] <= told["alpha"]
    assert (table["kind"].isin(["semantic", "both"]) == means).all()
    assert (table["kind"].isin(["grammatical", "both"]) == marks).all()
    assert (
        (table["kind"] == "untested") == (table["q_semantic"].isna() & table["q_grammatical"].isna())
    ).all()
    counted = {"all": table, "gendered": table[table["gendered"]]}
    for name, some in counted.items():
        if told["classes"][name]:
            assert told["classes"][name]["counts"] == {
                kind: (some["kind"] == kind).sum() for kind in told["classes"][name]["counts"]
            }
    # the planted captions write no more than an article, an alif or a pronoun onto a noun
    written = {}
    for noun in (noun for nouns in told["words"]["nouns"].values() for noun in nouns):
        stem = noun.replace("ة", "ت")
        written |= dict.fromkeys((noun, f"ال{noun}", f"{noun}ا", f"{stem}ه", f"{stem}ها"), noun)
    each = Language(study, "ar")
    rows, z = each.codes["token"], each.z()
    found = []
    for sample in each.dataset.index[each.dataset["split"] == "test"]:
        row = each.dataset.loc[sample]
        here = (each.sample_id[rows] == sample) & (each.role[rows] == each.roles.index("caption"))
        for match in re.finditer(r"\w+", row["caption"]):
            masked = any(a < match.end() and match.start() < b for a, b in json.loads(row["label_spans"]))
            if match[0] in written and not masked:
                inside = here & (each.char_start[rows] < match.end()) & (each.char_end[rows] > match.start())
                lean = {"female": 1.0, "male": -1.0}.get(row["gender"], 0.0)
                found.append((written[match[0]], inside.sum(), lean, *z[inside].mean(axis=0)))
    assert len(found) == told["words"]["things"]
    names = np.array([noun for noun, *_ in found])
    numbers = np.array([rest for _, *rest in found])
    means = {noun: numbers[names == noun].mean(axis=0) for noun in sorted(set(names))}
    feminine = np.array([noun in told["words"]["nouns"]["feminine"] for noun in means]).astype(float)
    by_noun = np.array(list(means.values()))
    design = np.column_stack([np.ones(len(feminine)), by_noun[:, :2]])
    y = np.column_stack([feminine, by_noun[:, 2:]])
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    live = table["r_grammatical"].notna().to_numpy()
    if told["grammatical"]["tested"]:
        assert (live <= ((by_noun[:, 2:] > 0).sum(axis=0) >= told["live_units"])).all()
        for feature in np.flatnonzero(live):
            r = np.corrcoef(left[:, 0], left[:, 1 + feature])[0, 1]
            assert table["r_grammatical"][feature] == pytest.approx(r, abs=1e-5)


def test_recoveries_and_agreement_by_hand(study):
    """R of each place from the rows of its patches, and Pearson's r of an attribution, by the words of the page."""
    folder = study / "interventions/patching"
    if "patching" in MISSING:
        pytest.skip("needs -m long")
    told = json.loads((folder / "patching.json").read_text())
    effects = pq.read_table(folder / "effects.parquet").to_pandas()
    maps = pq.read_table(folder / "maps.parquet").to_pandas()
    difference = effects["outcome_other"] - effects["outcome"]
    effects["R"] = (effects["outcome_patched"] - effects["outcome"]) / difference
    kept = effects[difference.abs() >= told["bound"]]
    names = ["swap", "language", "direction", "source", "donor", "kind", "layer", "node", "positions"]
    by_hand = kept.groupby([*names, "group"])["R"].mean().groupby(names).agg(["size", "mean"])
    assert len(by_hand) == len(maps) > 100
    for row in maps.to_dict("records"):
        n, mean = by_hand.loc[tuple(row[name] for name in names)]
        assert row["n"] == n and row["recovery"] == pytest.approx(mean)
    own = kept[(kept["donor"] == "other") & (kept["source"] == kept["language"])]
    for entry in told["pairs"]:
        donor = f"other_{entry['text']}" if entry["text"] else "other"
        clean = effects[(effects["direction"] == "noising") & (effects["donor"] == donor)]
        clean = clean[(clean["swap"] == entry["swap"]) & (clean["language"] == entry["language"])]
        clean = clean[(clean["source"] == clean["language"]) != bool(entry["text"])].drop_duplicates("case")
        d = clean["outcome"] - clean["outcome_other"]
        assert entry["pairs"] == len(clean) and entry["difference"] == pytest.approx(d.mean())
        assert entry["kept"] == (d.abs() >= told["bound"]).sum()
    assert own[(own["positions"] == "all") & (own["kind"] == "resid_post")]["R"].to_numpy() == pytest.approx(
        1, abs=1e-3
    )
    assert {entry["control"] for entry in told["interchange"]} >= {"", "elsewhere", "random"}
    for entry in told["interchange"]:
        behind = f"_{entry['control']}" if entry["control"] in ("elsewhere", "romanised") else ""
        other, same = f"other{behind}", f"same{behind}"
        if entry["control"] == "random":
            other = "random"
        rows = kept[(kept["kind"] == "resid_post") & kept["donor"].isin([other, same])]
        for name in ("swap", "language", "source", "positions", "layer"):
            rows = rows[rows[name] == entry[name]]
        by_run = rows.groupby(["group", "variant", "donor"])["R"].mean().unstack("donor")
        if entry["source"] == entry["language"]:
            by_run[same] = 0.0
        difference = (by_run[other] - by_run[same]).dropna().groupby("group").mean()
        assert entry["difference"]["n"] == len(difference) > 0
        assert entry["difference"]["value"] == pytest.approx(difference.mean())
    checked = 0
    for entry in told["attribution"]:
        made = effects[(effects["donor"] == "other") & (effects["source"] == effects["language"])]
        made = made[(made["positions"] != "all") & made["atp"].notna()]
        for name in ("swap", "language", "kind", "layer"):
            made = made if entry[name] is None else made[made[name] == entry[name]]
        towards = np.sign(made["outcome_other"] - made["outcome"])
        effect = (towards * (made["outcome_patched"] - made["outcome"])).to_numpy()
        said = (towards * made[entry["method"]]).to_numpy()
        assert entry["n"] == len(made)
        if entry["pearson"]["value"] is not None:
            assert entry["pearson"]["value"] == pytest.approx(np.corrcoef(effect, said)[0, 1], abs=1e-6)
            checked += 1
        assert entry["large"] == (np.abs(effect) > told["theta"]).sum()
    assert checked > 20


def test_patched_features_by_hand(study):
    """R of the parts from the rows of their patches, by the words of the page; parts add up to the whole state."""
    if "feature_patching" in MISSING:
        pytest.skip("needs -m long")
    folder = study / "interventions/feature_patching/joint/layer_1"
    told = json.loads((folder / "features.json").read_text())
    assert told["identity"] == 0 and told["sae"] == sha256(study / SAE / "sae_weights.safetensors")
    effects = pq.read_table(folder / "effects.parquet").to_pandas()
    difference = effects["outcome_other"] - effects["outcome"]
    effects["R"] = (effects["outcome_patched"] - effects["outcome"]) / difference
    effects["what"] = effects["part"].where(effects["part"] != "feature", effects["chosen"])
    kept = effects[difference.abs() >= told["bound"]]
    names = ["swap", "language", "positions", "what", "group"]
    by_hand = kept.groupby(names)["R"].mean().groupby(names[:4]).agg(["size", "mean"])
    assert told["parts"]
    for row in told["parts"]:
        for field, what in {"site_patch": "site", "error": "error", "largest": "largest"}.items():
            key = (*(row[name] for name in names[:3]), what)
            if key in by_hand.index:
                n, mean = by_hand.loc[key]
                assert row[field]["n"] == n and row[field]["value"] == pytest.approx(mean)
    run = ["swap", "case", "language", "variant", "positions"]
    parts = effects[effects["part"].isin(["features", "error"])].groupby(run)[["atp", "ig"]].sum()
    whole = effects[effects["part"] == "site"].set_index(run)[["atp", "ig"]].loc[parts.index]
    assert parts.to_numpy() == pytest.approx(whole.to_numpy(), abs=1e-4)


def test_groups_of_gendered_features_by_hand(study):
    """Which features are in them, from the tables of effects, and what share of D is gone."""
    if "group_ablation" in MISSING:
        pytest.skip("needs -m long")
    told = json.loads((study / "interventions/groups/joint/layer_1.json").read_text())
    signs = {}
    for language in told["languages"]:
        effects = pq.read_table(study / f"gender/joint/{language}/layer_1/effects.parquet").to_pandas()
        effects = effects[(effects["condition"] == told["condition"]) & (effects["split"] == "select")]
        signs[language] = np.sign(effects.set_index("feature")["z"]).where(
            effects.set_index("feature")["significant"], 0
        )
    for pair in told["pairs"]:
        first, second = (signs[language] for language in pair["languages"])
        expected = {
            "shared": (first == second) & (first != 0),
            "first": (first != 0) & (second == 0),
            "second": (first == 0) & (second != 0),
            "all": (first != 0) | (second != 0),
        }
        for group in pair["groups"]:
            assert group["features"] == expected[group["group"]].sum()
            for of in group["of"]:
                d = told["of"][of["language"]]["difference"]["value"]
                assert (
                    (of["share"] is None)
                    == (of["removed"] is None)
                    == (not told["of"][of["language"]]["tested"])
                )
                assert of["share"] is None or of["share"] == pytest.approx(of["removed"]["value"] / d)
