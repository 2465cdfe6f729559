"""Every artifact of a small study read with nothing but the words of docs/storage.md: no reader of crosslens is used."""

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from checkouts import TOY
from safetensors import safe_open
from storage_page import PAGE, Document, columns, expand, fields, read_page

REPOSITORY = PAGE.parents[1]
PAGES = read_page()
ARTIFACTS = {expand(row[0])[0]: row[1:] for row in PAGES["", "artifact"].rows}
KINDS = {kind: name for name, (_, kinds) in ARTIFACTS.items() for kind in re.findall(r"`(\w+)`", kinds)}
JSON_KINDS = [kind for kind in KINDS if (kind, "field") in PAGES]
TABLE_KINDS = [kind for kind in KINDS if (kind, "column") in PAGES]
GROUP_KINDS = [kind for kind in KINDS if (kind, "array") in PAGES]
SAE = "sae/joint/layer_1/seed_0"
OTHERS, VARIANTS = "others", ("batchtopk", "relu")


@pytest.fixture(scope="module")
def study(built_once, tmp_path_factory) -> Path:
    """results/toy: two languages of two parts, one site; an SAE of both, variants of it, and one "of others"."""
    checkout = built_once.copy(tmp_path_factory.mktemp("storage") / "checkout")
    shutil.copytree(checkout.folder / "results/toy" / SAE, checkout.folder / "data/others")
    pretrained = {OTHERS: {"1": "data/others"}}
    more = {"sae": {**TOY["sae"], "pretrained": pretrained}, "sweep": {"architecture": list(VARIANTS)}}
    checkout.configure("toy", {**TOY, **more})
    checkout.snakemake("all")
    return checkout.folder / "results/toy"


def places(study: Path, name: str) -> list[Path]:
    """Every path of one artifact."""
    pattern = ARTIFACTS[name][0].strip("`")
    found = sorted(study.glob(re.sub(r"\{\w+\}", "*", pattern)))
    found = [path for path in found if path.suffix == Path(pattern).suffix]
    assert found, f"no {name} in {study}"
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def documents(study: Path, kind: str) -> list[dict]:
    """The JSON documents of one kind."""
    found = []
    for name, (_, kinds) in ARTIFACTS.items():
        if f"`{kind}`" in kinds:
            for place in places(study, name):
                for file in place.glob("*.json") if place.is_dir() else [place]:
                    document = json.loads(file.read_text(encoding="utf-8"))
                    header = document["metadata"]["crosslens"] if file.name == "cfg.json" else document
                    assert header["schema"] == 1
                    found += [document] if header["kind"] == kind else []
    return found


def table_of(study: Path, kind: str) -> list:
    """The parquet tables of one kind."""
    tables = []
    for place in places(study, KINDS[kind]):
        (file,) = place.glob("*.parquet") if place.is_dir() else [place]
        tables.append(pq.read_table(file))
    return tables


def group(path: Path) -> dict:
    """The arrays of a Zarr group, in memory, and its attributes under the empty name."""
    opened = zarr.open_group(path, mode="r")
    return {"": dict(opened.attrs), **{name: array[:] for name, array in opened.arrays()}}


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
    """All parts of one language put one after the other, as the codes count them."""

    def __init__(self, study: Path, language: str):
        folder = study / "activations" / language
        parts = sorted((folder / "tokens").iterdir())
        tokens = [group(part) for part in parts]
        self.roles = tokens[0][""]["roles"]
        self.sample_id = np.array(
            [part[""]["sample_ids"][i] for part in tokens for i in part["sample"]], dtype=object
        )
        for name in ("position", "role", "char_start", "char_end"):
            setattr(self, name, np.concatenate([part[name] for part in tokens]))
        stored = [group(folder / "layer_1" / part.name) for part in parts]
        self.x = np.concatenate([float32(part["values"]) for part in stored]).astype(np.float64)
        self.norm = np.concatenate([part["norm"] for part in stored])
        self.dataset = pq.read_table(study / f"dataset/{language}.parquet").to_pandas().set_index("sample_id")
        self.codes = group(study / f"codes/joint/{language}/layer_1.zarr")
        self.k = json.loads((study / SAE / "cfg.json").read_text())["k"]

    def of_sample(self, column: str) -> np.ndarray:
        """(N) a column of the dataset for every token."""
        return self.dataset[column].reindex(self.sample_id).to_numpy(dtype=object)

    def z(self) -> np.ndarray:
        """(M, F) the codes, dense."""
        codes = self.codes
        z = np.zeros((len(codes["token"]), codes[""]["d_sae"]))
        z[np.repeat(np.arange(len(z)), np.diff(codes["indptr"])), codes["indices"]] = codes["values"]
        return z


@pytest.fixture(scope="module", params=["en", "ar"])
def language(request, study) -> Language:
    return Language(study, request.param)


# the page against the rules and the artifacts


def test_the_page_lists_the_artifacts_of_the_rules():
    rules = (REPOSITORY / "rules/artifacts.smk").read_text(encoding="utf-8")
    declared = dict(re.findall(r'artifact\(\s*"(\w+)",\s*"results/\{study\}/([^"]+)"', rules))
    assert len(declared) == len(re.findall(r"^artifact\(", rules, re.MULTILINE))
    assert {name: path.strip("`") for name, (path, _) in ARTIFACTS.items()} == declared


def test_every_kind_has_its_tables():
    assert KINDS.keys() == {*JSON_KINDS, *TABLE_KINDS, *GROUP_KINDS}


@pytest.mark.parametrize("kind", JSON_KINDS)
def test_a_document_has_the_documented_fields(study, kind):
    document = Document(kind, fields(PAGES, kind))
    for found in documents(study, kind):
        document.check(found)
    assert document.unseen() == []


def test_the_comparison_of_documents_sees_what_is_missing_on_either_side(study):
    types = fields(PAGES, "rankings")
    (found, *_) = documents(study, "rankings")
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
    for table in table_of(study, kind):
        assert json.loads(table.schema.metadata[b"crosslens"]) == {"schema": 1, "kind": kind}
        assert sorted(table.column_names) == sorted(documented)
        for name, type_ in documented.items():
            found = (
                str(table[name].type).replace("large_", "").replace("list<element: int64>", "list of int64")
            )
            assert found == type_.removesuffix(" or null"), name
            assert type_.endswith(" or null") or table[name].null_count == 0, name


@pytest.mark.parametrize("kind", GROUP_KINDS)
def test_a_group_has_the_documented_arrays_and_attributes(study, kind):
    attributes, arrays = columns(PAGES, kind, "attribute"), columns(PAGES, kind, "array")
    sizes: dict[str, int] = {}
    for place in places(study, KINDS[kind]):
        found = zarr.open_group(place, mode="r")
        assert (found.attrs["schema"], found.attrs["kind"], found.metadata.zarr_format) == (1, kind, 3)
        document = Document(kind, attributes)
        document.check(dict(found.attrs))
        assert document.unseen() == []
        assert sorted(name for name, _ in found.arrays()) == sorted(arrays)
        sizes = {"n": len(found.attrs["sample_ids"])} if kind == "tokens" else {}
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


def test_the_drawn_source_is_as_documented(study):
    with (study / "source/captions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(rows[0]) == sorted(columns(PAGES, "captions.csv", "column"))
    images = {path.stem for path in (study / "source/images").iterdir()}
    assert images == {row["image_id"] for row in rows}


def test_figures_and_page_are_what_their_names_say(study):
    said = PAGE.read_text(encoding="utf-8").split("`layer_figures` is", 1)[1].split("\n\n")[0]
    figures = {
        path.name: path
        for place in ("", "layer_1", "sweep/joint/layer_1")
        for path in (study / "figures" / place).glob("*.png")
    }
    assert sorted(figures) == sorted(re.findall(r"`(\w+\.png)`", said))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in figures.values())
    page = (study / "report/index.html").read_text(encoding="utf-8")
    assert "src=" in page and not re.search(r"(src|href)=[\"']?(https?:|/|\.)", page)


# what the words say of the numbers


def test_the_tables_of_all_languages_hold_the_same_samples(study):
    english, arabic = (table.to_pandas() for table in reversed(table_of(study, "dataset")))
    same = [
        name
        for name in columns(PAGES, "dataset", "column")
        if name not in ("caption", "prompt", "label_spans")
    ]
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
    for place in places(study, "tokens"):
        part = group(place)
        samples, lengths = part[""]["sample_ids"], np.diff(part["offsets"])
        assert part["offsets"][0] == 0 and part["offsets"][-1] == len(part["sample"]) and (lengths > 0).all()
        assert np.array_equal(part["sample"], np.repeat(np.arange(len(samples)), lengths))
        inside = np.diff(part["sample"]) == 0
        assert (np.diff(part["position"])[inside] > 0).all() and part["position"].min() >= 0
        assert {part[""]["roles"][i] for i in np.unique(part["role"])} == {"prompt", "caption"}


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
        for place in places(study, name):
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
