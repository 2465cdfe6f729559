"""A study: its settings complete, its parts, model and sources. What is wrong with settings: test_wrong_settings."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import pytest
from study_folder import CSV, SCHEMAS, changed, read, write_files

from crosslens.errors import InputError
from crosslens.sae.settings import Settings
from crosslens.store.digests import FileDigests
from crosslens.study import sources
from crosslens.study.document import documented, keys, read_schema
from crosslens.study.settings import TRAINING, load_yaml, study_schema, validate
from crosslens.study.study import Study

ROOT = Path(__file__).parents[1]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A function from settings to the study of that file, beside what it names (see study_folder)."""
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    return read


def test_captions_without_a_language_are_told(study, tmp_path):
    (tmp_path / "data/captions.csv").write_text("image_id,english_prompt\ni0,a man\n")
    with pytest.raises(InputError, match=r"data/captions\.csv.*arabic_prompt"):
        _ = study().parts


def test_an_unknown_study_is_told_with_those_that_exist(study):
    study()
    with pytest.raises(InputError, match="study .yours.: found no file .*one of the defined studies: mine"):
        Study("yours", Path("studies"), SCHEMAS / "study.schema.yaml", FileDigests(Path("files.json")))


def test_an_unknown_key_of_the_main_config_is_told(tmp_path):
    (tmp_path / "config.yaml").write_text("run: [planted]\nstores: x\n")
    document = load_yaml(tmp_path / "config.yaml")
    with pytest.raises(InputError, match=r"found unknown key stores .*; expected one of run, studies"):
        validate(document, tmp_path / "config.yaml", load_yaml(SCHEMAS / "config.schema.yaml"))


def test_defaults_are_filled_in_and_not_shared(study):
    first, second = study(), study()
    assert first.settings["sae"]["k"] == 32 and first.settings["splits"]["train"] == 0.6
    first.settings["sae"]["k"] = 1
    first.settings["sae"]["corpora"].append("en")
    assert second.settings["sae"]["k"] == 32 and second.settings["sae"]["corpora"] == ["joint"]
    assert study().settings["sae"]["corpora"] == ["joint"]


def test_variants_are_combinations_without_what_an_architecture_ignores(study):
    assert study().variants == {}
    swept = {"architecture": ["topk", "relu"], "k": [16, 64], "l1": [0.1]}
    assert study(changed("sweep", swept)).variants == {
        "topk-k_16": {"architecture": "topk", "k": 16},
        "topk-k_64": {"architecture": "topk", "k": 64},
        "relu-l1_0.1": {"architecture": "relu", "l1": 0.1},
    }
    # the study's own SAE has k = 32 and takes part anyway
    assert study(changed("sweep", {"k": [4, 32]})).variants == {"k_4": {"k": 4}}


def test_pretrained_saes_are_corpora_of_their_sites(study):
    found = study(changed("sae.pretrained", {"scope": {"0": "hf:a/b"}}))
    assert found.corpora_at("0") == ["joint", "scope"] and found.corpora_at("3.attn_out") == ["joint"]
    alone = {"corpora": [], "pretrained": {"scope": {"0": "hf:a/b", "3.attn_out": "hf:a/c"}}}
    assert study(changed("sae", alone)).corpora_at("3.attn_out") == ["scope"]
    with pytest.raises(InputError, match="key sweep: found a sweep; expected sae.corpora"):
        study(changed("sae", alone) | {"sweep": {"k": [4]}})


def test_parts_are_blocks_of_rows_and_know_only_their_own(study, tmp_path):
    settings = changed("activations.part_rows", 2)

    def blocks():
        found = study(settings)
        return {
            (part, language): found.block_identity(part, language)
            for part in found.parts
            for language in ("en", "ar")
        }

    before = blocks()
    assert sorted({part for part, _ in before}) == ["0000", "0001", "0002"]
    assert study(settings).part_rows("0001") == (3, 4)

    def differing():
        after = blocks()
        return {block for block in before.keys() | after.keys() if before.get(block) != after.get(block)}

    assert differing() == set()
    (tmp_path / "data/images/i3.png").write_text("another picture")
    assert differing() == {("0001", "en"), ("0001", "ar")}
    (tmp_path / "data/images/i3.png").write_text("picture 3")
    (tmp_path / "data/captions.csv").write_text(CSV.replace("a man 0", "a woman 0"), encoding="utf-8")
    assert differing() == {("0000", "en")}
    (tmp_path / "data/captions.csv").write_text(CSV + "i5,a man,رجل\ni6,a man,رجل\n", encoding="utf-8")
    assert differing() == {(part, language) for part in ("0002", "0003") for language in ("en", "ar")}


def test_the_models_identity_follows_its_files_and_not_its_words_or_place(study, tmp_path):
    before = study().model.identity
    (tmp_path / "resources/model/README.md").write_text("other words")
    settings = changed("model.id", str(tmp_path / "resources/model"))
    assert study().model.identity == study(settings).model.identity == before
    shutil.copytree(tmp_path / "resources/model", tmp_path / "resources/renamed")
    renamed = study(changed("model.id", "resources/renamed")).model
    assert renamed.identity == before and renamed.name == "renamed"
    (tmp_path / "resources/model/model.safetensors").write_text("other weights")
    assert study().model.identity != before


def test_weights_that_an_index_names_in_a_folder_below_are_the_models_too(study, tmp_path):
    folder = tmp_path / "resources/model"
    (folder / "shards").mkdir()
    shard = folder / "shards/model-1.safetensors"
    shard.write_text("weights")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "shards/model-1.safetensors"}}))
    before = study().model.identity
    shard.write_text("other weights, and more")
    assert study().model.identity != before
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    with pytest.raises(InputError, match="elsewhere"):
        _ = study().model.identity


def test_of_an_adapter_that_is_a_link_the_key_holds_what_it_leads_to(study, tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "adapter_v2.py").write_text("import beside\n")
    (folder / "beside.py").write_text("")
    (tmp_path / "mine.py").symlink_to("shared/adapter_v2.py")
    model = study(changed("model.adapter", str(tmp_path / "mine.py"))).model
    assert {folder / "adapter_v2.py", folder / "beside.py"} <= {*model.files}
    assert model.identity["adapter"].keys() == {"adapter_v2.py", "beside.py"}


def test_versions_of_the_packages_that_an_adapter_imports_decide_its_model(study, tmp_path, monkeypatch):
    """With those of modules beside it, and of imports within functions."""
    (tmp_path / "mine.py").write_text(
        "import json\nimport torch.nn\nimport beside\nimport crosslens.errors\n"
    )
    (tmp_path / "beside.py").write_text("def late():\n    from _pytest.outcomes import skip\n")
    settings = changed("model.adapter", str(tmp_path / "mine.py"))
    before = study(settings).model.identity
    assert before["packages"] == {name: version(name) for name in ("pytest", "torch")}
    monkeypatch.setattr("crosslens.store.fingerprint.installed_version", lambda name: "0.1")
    assert study(settings).model.identity != before


def test_a_hub_model_is_known_by_name_and_revision(study):
    commits = ["0" * 40, "1" * 40]
    first, other = (
        study(changed("model", {"id": "google/gemma-3-4b-it", "revision": commit})) for commit in commits
    )
    assert first.model.depth == 34  # by the sizes that come with crosslens
    assert (
        first.model.identity["label"] == "google/gemma-3-4b-it"
        and first.model.identity["revision"] == commits[0]
    )
    assert other.model.identity != first.model.identity
    for moving in ({}, {"revision": "main"}):
        unpinned = study(changed("model", {"id": "google/gemma-3-4b-it", **moving}))
        with pytest.raises(InputError, match=r"model\.revision.*pin it"):
            _ = unpinned.model.identity


@pytest.mark.parametrize("path", sorted((ROOT / "config/studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_studies_fit_the_schema(path):
    document = load_yaml(path)
    validate(document, path, study_schema(SCHEMAS / "study.schema.yaml", document))


@pytest.mark.parametrize("name", ["config", "study"])
def test_the_readme_documents_every_key_with_its_default(name):
    readme = (ROOT / "config/README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w.\[\]]+)` \|(.*)\|$", readme, re.MULTILINE))
    for key, inner, required in keys(read_schema(SCHEMAS, name)):
        assert key in rows, f"{key} has no row in config/README.md"
        default = inner.get("default")
        if default not in (None, {}) and not isinstance(default, list | bool):
            assert f"`{default}`" in rows[key], f"{key}: its default {default} is not in config/README.md"
        assert ("**required**" in rows[key]) == required, key
        if "properties" not in inner:
            assert len(rows[key].split("|")[-1].strip()) > 3, f"{key} is not explained in config/README.md"


def test_the_readme_documents_no_key_that_is_not_there():
    known = {key for name in ("config", "study") for key, _, _ in keys(read_schema(SCHEMAS, name))}
    readme = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([\w.\[\]]+)` \|", readme, re.MULTILINE)) == known


def test_the_readme_says_what_the_schemas_say():
    """`python -m crosslens.study.document` writes it."""
    readme = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert documented(readme, SCHEMAS) == readme


@pytest.mark.parametrize("name", ["config", "study"])
def test_every_key_has_a_description_and_is_closed(name):
    schema = read_schema(SCHEMAS, name)
    for key, inner in [("", schema), *((key, inner) for key, inner, _ in keys(schema))]:
        if "properties" in inner:
            assert inner.get("additionalProperties") is False, f"{key} takes unknown keys"
        if key:
            assert inner.get("description"), f"{key} has no description"
            assert inner.keys() <= KEYWORDS, f"{key}: a comma in its description wants quotes"


KEYWORDS = set(
    "description type default enum properties required additionalProperties propertyNames minProperties oneOf".split()
    + "items minItems maxItems uniqueItems minLength pattern title minimum maximum exclusiveMinimum exclusiveMaximum".split()
)
"""Of JSON Schema, as far as the schemas use them."""


def test_settings_of_training_are_those_of_the_library_and_each_can_be_set(study):
    own = load_yaml(SCHEMAS / "study.schema.yaml")["properties"]["sae"]["properties"]
    assert TRAINING.keys() == {field.name for field in fields(Settings)} - {"transcoder"}
    assert TRAINING.keys() <= own.keys()
    assert not [name for name in TRAINING if "default" in own[name]], "typed twice"
    assert Settings.from_dict(study().training) == Settings()
    for own in (
        {"architecture": "jumprelu", "l0_weight": 2.0},
        {"architecture": "matryoshka", "matryoshka_fractions": [0.5, 1]},
    ):
        chosen = own | {"betas": [0.8, 0.9], "train_tokens": 64}
        assert Settings.from_dict(study(changed("sae", chosen)).training) == Settings.from_dict(chosen)


SHELF = """
from crosslens.study.sources.base import Source

SETTINGS = {"shelf": {"description": "Books of a shelf.", "type": "object", "additionalProperties": False,
                      "properties": {"books": {"description": "How many.", "type": "integer", "default": 5}}}}

class Shelf(Source):
    kind = "books"

    @property
    def n_rows(self):
        return self.settings["books"]

    def block_identity(self, first, last, language):
        return ["shelf", first, min(last, self.n_rows)]

SOURCE = Shelf
"""


def test_a_source_is_one_file(study, tmp_path):
    """Its keys are checked, completed and documented with the others, and only it is asked."""
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/shelf.py").write_text(SHELF)
    sources.__path__.append(str(tmp_path / "sources"))
    try:
        settings = changed("activations.part_rows", 3) | {"source": {"shelf": {}}}
        found = study(settings)
        assert found.parts == ["0000", "0001"] and found.block_identity("0001", "en") == ["shelf", 4, 5]
        assert found.source.kind == "books" and found.source.places("results/mine/books") == {
            "captions": "results/mine/books/captions.csv",
            "images": None,
        }
        with pytest.raises(
            InputError, match="key source.shelf: found unknown key pages; expected one of books"
        ):
            study(settings | {"source": {"shelf": {"pages": 1}}})
        with pytest.raises(InputError, match="key source: found unknown key columns; expected one of shelf"):
            study(settings | {"source": {"shelf": {}, "columns": {}}})
        assert "| `source.shelf.books` | integer | `5` | How many. |" in documented(
            (ROOT / "config/README.md").read_text(encoding="utf-8"), SCHEMAS
        )
    finally:
        sources.__path__.remove(str(tmp_path / "sources"))
        sys.modules.pop("crosslens.study.sources.shelf", None)


def test_a_study_is_read_without_anything_heavy():
    code = "import sys, crosslens.study.study, crosslens.registry as r\n"
    code += "[r.member('crosslens.study.sources', name) for name in r.names('crosslens.study.sources')]\n"
    code += "print(*{'numpy', 'torch', 'zarr', 'PIL', 'pandas', 'scipy'} & sys.modules.keys())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == ""


def test_lists_of_concepts_and_names_at_neuronpedia_are_of_what_there_is(study):
    assert study(changed("concepts", {"some": ["i0", "i1"]})).settings["concepts"]
    with pytest.raises(InputError, match="key concepts.some: found i99"):
        study(changed("concepts", {"some": ["i0", "i99"]}))
    named = {"joint": {"0": "gpt2-small/0-res"}}
    assert study(changed("sae.neuronpedia", named)).settings["sae"]["neuronpedia"] == named
    for wrong in ({"scope": {"0": "a/b"}}, {"joint": {"7": "a/b"}}):
        with pytest.raises(InputError, match="key sae.neuronpedia"):
            study(changed("sae.neuronpedia", wrong))
