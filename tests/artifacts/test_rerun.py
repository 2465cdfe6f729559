"""What would be computed again after a change: artifacts whose keys are others. A few also run, in tests/workflow."""

import copy
import json
import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import yaml
from checkouts import MINI, TOY

from crosslens.artifacts import recipes
from crosslens.artifacts.table import Studies, Table
from crosslens.errors import InputError
from crosslens.store import code, fingerprint
from crosslens.store.digests import FileDigests
from crosslens.store.fingerprint import closure
from crosslens.study.study import Study

ROOT = Path(__file__).parents[2]
ARCHITECTURES = "crosslens.sae.architectures."
PAGES = {"page", "write_up", "summary_tables"}
"""What shows settings, and names of studies and models."""
FIGURES = {"draw_layer_figures", "draw_sharing_figure", "draw_study_figures"}


class Change:
    """The studies `toy` and `mini` before and after a change of their settings or of a copy of the library."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.patch = folder, monkeypatch
        self.source = folder / "src"
        self.studies = {"toy": copy.deepcopy(TOY), "mini": copy.deepcopy(MINI)}
        self.before = self._table()
        self.keys = {study: self._keys(self.before, study) for study in self.studies}

    def _table(self) -> Table:
        for name, settings in self.studies.items():
            text = yaml.safe_dump(settings, allow_unicode=True)
            (self.folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        digests, schema = FileDigests(self.folder / "files.json"), Path("workflow/schemas/study.schema.yaml")
        return Table(Studies(lambda name: Study(name, self.folder, schema, digests)))

    @staticmethod
    def _keys(table: Table, study: str) -> dict[tuple, str]:
        return {(kind, *sorted(w.items())): table.key(kind, w) for kind, w in table.everything(study)}

    def code(self) -> Path:
        """A copy of the library, to be edited; later keys are those of it."""
        for part in ("src", "workflow/scripts"):
            shutil.copytree(ROOT / part, self.folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        self.patch.setattr(recipes, "closure", partial(closure, src=self.source))
        return self.source / "crosslens"

    def edit(self, file: str, more: str = "\nUNUSED = 1\n") -> None:
        """Something added to a file of a copy of the library."""
        path = self.code() / file
        path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")

    def settings(self, study: str = "toy", **sections) -> None:
        """Some keys of some sections of a study's settings."""
        for name, change in sections.items():
            self.studies[study][name] = (
                {**self.studies[study].get(name, {}), **change} if isinstance(change, dict) else change
            )

    def work(self, study: str = "toy", *kinds: str) -> Counter:
        """Jobs of each rule that are to be run, for these kinds alone where some are named."""
        table = self._table()
        changed = [
            need
            for need in table.everything(study)
            if self.keys[study].get((need[0], *sorted(need[1].items()))) != table.key(*need)
        ]
        return table.jobs([need for need in changed if not kinds or need[0] in kinds])


@pytest.fixture(scope="module", autouse=True)
def remembered(tmp_path_factory):
    """What a module says is read once: a test edits one of hundreds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "_memory", code.CodeMemory(tmp_path_factory.mktemp("code")))
        yield


@pytest.fixture
def change(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    return Change(tmp_path, monkeypatch)


def test_a_copy_of_the_library_elsewhere_changes_nothing(change):
    change.code()
    assert change.work() == {} and change.work("mini") == {}


def test_editing_plots_draws_and_never_retrains(change):
    change.edit("figures/style.py")
    assert change.work().keys() == FIGURES | {"build_report", "write_plots"}


@pytest.mark.parametrize("file", ["page.css", "live/live.css", "live/app.js"])
def test_editing_a_page_builds_the_pages(change, file):
    """What lies beside the modules of a package is in the keys of what is inside of it, too."""
    change.edit(f"report/{file}", "\n/* 1px */\n")
    of_plots = {"write_plots": 1} if "/" not in file else {}
    assert change.work() == {"build_report": 1, "pack_live_page": 1, **of_plots}


def test_a_comment_or_docstring_never_reruns_anything(change):
    for module in change.code().rglob("*.py"):
        text = module.read_text(encoding="utf-8")
        lines = text.replace('"""', '"""Reworded. ', 1) if text.startswith('"""') else text
        module.write_text(f"# a comment\n{lines}\n# another\n", encoding="utf-8")
        (module.parent / f".{module.name}.swp").write_text("what an editor leaves")
    assert change.work() == {} and change.work("mini") == {}


def test_code_that_hands_out_the_work_is_in_no_key(change):
    """What stages use of the store is in modules of their own."""
    library, used = change.code(), {"__init__.py", "digests.py", "durable.py", "imports.py", "remove.py"}
    edited = [file for file in (library / "store").glob("*.py") if file.name not in used]
    for package in ("artifacts", "planning", "study", "warm"):
        edited += (library / package).rglob("*.py")
    for file in (*edited, library / "cli.py"):
        file.write_text(file.read_text(encoding="utf-8") + "\nUNUSED = 1\n", encoding="utf-8")
    assert {file.name for file in edited} >= {"fingerprint.py", "lease.py", "table.py"}
    assert change.work() == {} and change.work("mini") == {}


def test_members_of_open_packages_that_a_study_does_not_use_are_in_none_of_its_keys(change):
    """`toy` and `mini` train topk on a model of another family; neither is Persian."""
    library = change.code()
    for unused in ("models/adapters/qwen.py", "models/adapters/gpt.py", "sae/architectures/gated.py"):
        with (library / unused).open("a") as file:
            file.write("\nUNUSED = 1\n")
    for new in ("models/adapters/new.py", "sae/architectures/new.py", "data/languages/fa.py"):
        (library / new).write_text('@register("new")\nclass New: pass\n\nREADS = ("new",)\n')
    assert change.work() == {} and change.work("mini") == {}


@pytest.mark.parametrize(
    ("file", "first"), [("models/adapters/gemma.py", "extract"), ("sae/architectures/topk.py", "train_saes")]
)
def test_those_that_it_uses_are(change, file, first):
    change.edit(file)
    assert first in change.work()
    assert ("extract" in change.work()) == (first == "extract")


def test_editing_a_language_reads_its_captions_again_and_extracts_nothing(change):
    """`mini` is English alone."""
    change.edit("data/languages/ar.py")
    work = change.work()
    assert work["build_dataset"] == 1 and not {"draw_source", "extract"} & work.keys()
    assert change.work("mini") == {}


def test_an_sae_of_a_sweep_has_the_code_of_its_own_architecture(change):
    change.settings(sweep={"architecture": ["topk", "gated", "matryoshka"], "k": [4]})
    table = change._table()
    closures = {
        w.get("variant", "own"): {
            name.rsplit(".", 1)[1] for name in table.code(kind, w).modules if ARCHITECTURES in name
        }
        for kind, w in table.everything("toy")
        if kind in ("sae", "swept_sae")
    }
    assert closures == {
        "own": {"base", "topk"},
        "topk-k_4": {"base", "topk"},
        "gated": {"base", "gated", "relu"},
        "matryoshka-k_4": {"base", "batchtopk", "matryoshka"},
    }


def test_editing_sae_code_retrains_and_what_follows(change):
    change.edit("sae/sparse.py")
    work = change.work()
    assert work["train_saes"] == 1
    assert {"apply_saes", "splice_saes", "analyse_codes", "layer_summary"} <= work.keys()
    assert (
        not {"draw_source", "build_dataset", "extract", "analyse_activations", "generate_captions"}
        & work.keys()
    )


def test_a_setting_reruns_its_own_stage_and_what_follows(change):
    change.settings(
        gender={"bootstraps": 21}, features={"top_examples": 3}, stereotype={"max_new_tokens": 13}
    )
    work = change.work()
    assert {"analyse_codes", "generate_captions", "build_report"} <= work.keys()
    assert (
        not {"draw_source", "build_dataset", "extract", "train_saes", "apply_saes", "splice_saes"}
        & work.keys()
    )


def test_the_device_is_no_part_of_any_key(change):
    change.settings(model={"device": "cpu"})
    assert change.work().keys() <= {"build_report"}  # the page shows the settings


def test_a_layer_added_is_extracted_alone(change):
    change.settings(sites=["1", "2", "3.attn_out"])
    assert change.work("toy", "tokens", "activations") == {"extract": 4}
    assert change.work("toy", "sae") == {"train_saes": 2}


def test_appended_samples_alone_are_extracted(change):
    change.settings(source={"planted": {"images": 90, "seed": 7}})
    table = change._table()
    parts = {
        (w["language"], w["part"])
        for kind, w in table.everything("toy")
        if kind == "tokens" and change.keys["toy"].get((kind, *sorted(w.items()))) != table.key(kind, w)
    }
    assert parts == {("ar", "0002"), ("en", "0002")}


@pytest.fixture
def owned(change):
    """The study `toy` with files of the user's: captions, pictures in folders, an adapter with a helper, an SAE's checkpoint."""
    pictures = [f"{folder}{number}.png" for folder in ("", "sub/") for number in range(3)]
    files = {f"pictures/{name}": name for name in pictures}
    files |= {
        "adapter.py": "import helper\n",
        "helper.py": "import parts.inner\n",
        "parts/inner.py": "from . import other\n",
        "parts/other.py": "SCALE = 2\n",
        "unrelated.py": "",
        "sae/checkpoints/ae_9.pt": "weights",
        "sae/config.json": '{"trainer": {}}',
    }
    for name, text in files.items():
        (change.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (change.folder / name).write_text(text)
    ids = [*(f"{number}" for number in range(3)), *(f"./sub/{number}" for number in range(3))]
    rows = [f"{image_id},a woman,امرأة,female" for image_id in ids]
    header = "image_id,english_prompt,arabic_prompt,ground_truth_gender"
    (change.folder / "captions.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
    change.studies["toy"]["source"] = {
        "captions": str(change.folder / "captions.csv"),
        "images": str(change.folder / "pictures"),
    }
    change.settings(
        model={"adapter": str(change.folder / "adapter.py")},
        sae={"pretrained": {"theirs": {"1": str(change.folder / "sae/checkpoints/ae_9.pt")}}},
        activations={"part_rows": 2},
    )
    change.keys["toy"] = change._keys(change._table(), "toy")
    return change


def test_every_file_whose_digest_a_key_holds_is_checked_by_the_jobs_that_read_it(owned):
    """And no other: a caption table may be edited while the model runs."""
    table, read = owned._table(), {}
    for kind, w in table.everything("toy"):
        by = table.kinds[kind].by
        job = json.loads(table.job(by, {name: w[name] for name in table.per(by)}))
        read[by] = {
            Path(file).relative_to(owned.folder) if owned.folder in Path(file).parents else Path(file): held
            for file, held in job["files"].items()
        }
    pictures = {Path("pictures", f"{folder}{number}") for folder in ("", "sub/") for number in range(3)}
    data = {path.with_suffix(suffix) for path in pictures for suffix in ("", ".jpg", ".jpeg", ".png")}
    assert {file for file, held in read["build_dataset"].items() if held is None} == {
        file for file in data if file.suffix != ".png"
    }
    lexicons = {Path(file) for file in TOY["lexicons"].values()}
    model = {
        *(Path(file) for file in ("adapter.py", "helper.py", "parts/inner.py", "parts/other.py")),
        *read["extract"],
    }
    assert Path(TOY["model"]["id"], "model.safetensors") in model
    assert {rule: files.keys() for rule, files in read.items() if files} == {
        "build_dataset": {Path("captions.csv"), *data, *lexicons},
        "measure_stereotype": lexicons,
        "adopt_sae": {Path("sae/checkpoints/ae_9.pt"), Path("sae/config.json")},
        **dict.fromkeys(("extract", "splice_saes", "promote_tokens", "generate_captions"), model),
    }
    known = {
        str((ROOT if file in lexicons or str(file).startswith("resources") else owned.folder) / file)
        for files in read.values()
        for file in files
    }
    assert known == table.studies["toy"].digests.taken.keys()


@pytest.mark.parametrize(
    ("file", "text", "first"),
    [
        ("pictures/sub/1.png", "another picture", "build_dataset"),
        ("pictures/1.jpg", "what is now looked for before 1.png", "build_dataset"),
        ("pictures/sub/1", "the same", "build_dataset"),
        ("helper.py", "import parts.inner\n\nX = 1\n", "extract"),
        ("parts/other.py", "SCALE = 3\n", "extract"),
        ("sae/config.json", '{"trainer": {}} ', "adopt_sae"),
        ("sae/cfg.json", '{"trainer": {}}', "adopt_sae"),
    ],
)
def test_a_file_of_the_users_is_in_the_keys_of_what_is_made_of_it(owned, file, text, first):
    (owned.folder / file).write_text(text)
    work = owned.work()
    assert first in work
    if first == "build_dataset":  # one part of three, in two languages
        assert work["extract"] == 2


@pytest.mark.parametrize("file", ["pictures/unused.png", "pictures/1.webp", "unrelated.py", "sae/notes.txt"])
def test_a_file_beside_them_that_nothing_reads_is_in_none(owned, file):
    (owned.folder / file).write_text("more")
    assert owned.work() == {}


def test_captions_of_an_image_that_change_places_are_other_samples(owned):
    """Row 2, a second caption of an image, is `1#1` whatever it says; and `1#0` once the first is another image's."""
    captions = owned.folder / "captions.csv"
    lines = captions.read_text(encoding="utf-8").splitlines()
    rows = ["1,one,واحد,female", "1,two,اثنان,female", "2,three,ثلاثة,female", "2,four,أربعة,female"]
    rows += [f"{image},word {image},كلمة {image},male" for image in range(3, 9)]
    captions.write_text("\n".join([lines[0], *rows]), encoding="utf-8")
    owned.keys["toy"] = owned._keys(owned._table(), "toy")
    rows[0] = "0,one,واحد,female"
    captions.write_text("\n".join([lines[0], *rows]), encoding="utf-8")
    assert owned.work()["extract"] == 2
    table = owned._table()
    captions.write_text("\n".join([lines[0], rows[0], "1,new,جديد,female", *rows[1:]]), encoding="utf-8")
    other = owned._table()  # row 3 is still "two", of image 1, but its second caption
    two = [of.studies["toy"].source.block_identity(row, row, "en") for of, row in ((table, 2), (other, 3))]
    assert two[0] != two[1]


def test_a_new_name_of_a_file_is_in_the_summary_that_tells_it_alone(owned):
    (owned.folder / "captions.csv").rename(owned.folder / "renamed.csv")
    owned.studies["toy"]["source"]["captions"] = str(owned.folder / "renamed.csv")
    assert owned.work() == {"build_dataset": 1, "build_report": 1}
    assert owned.work("toy", "dataset") == {}


@pytest.mark.parametrize(
    ("file", "extracts"),
    [("images", True), ("captions", True), ("dataset", True), ("labels", False), ("splits", False)],
)
def test_code_that_decides_the_samples_is_behind_their_activations(owned, file, extracts):
    owned.edit(f"data/{file}.py")
    work = owned.work()
    assert work["build_dataset"] == 1 and ("extract" in work) == extracts


@pytest.mark.parametrize("script", ["extract", "apply_saes", "build_report"])
@pytest.mark.parametrize(("more", "runs"), [("# why\n", False), ("UNUSED = 1\n", True)])
def test_an_edited_script_runs_again_and_a_comment_in_it_does_not(change, script, more, runs):
    file = change.code().parents[1] / f"workflow/scripts/{script}.py"
    file.write_text(file.read_text() + more)
    work = change.work()
    assert (script in work) == runs == bool(work) and not {"draw_source", "build_dataset"} & work.keys()


def test_what_decides_numbers_within_other_packages_is_in_keys(change, monkeypatch):
    """Nothing here imports tokenizers to extract."""
    monkeypatch.setattr(fingerprint, "installed_version", lambda name: "0.0" if name == "tokenizers" else "1")
    closure.cache_clear()
    try:
        versions = change._table().describe(
            "tokens", dict(zip(("study", "language", "part"), ("toy", "en", "0000"), strict=True))
        )["versions"]
    finally:
        monkeypatch.undo()
        closure.cache_clear()
    assert versions["tokenizers"] == "0.0" and versions["transformers"] == "1"


def test_pretrained_alone_trains_nothing(change):
    (change.folder / "theirs").mkdir()
    (change.folder / "theirs/params.safetensors").write_text("weights")
    theirs = {"theirs": {"1": str(change.folder / "theirs")}}
    change.studies["toy"]["sae"] = {"corpora": [], "pretrained": theirs}
    table = change._table()
    jobs = table.jobs(table.everything("toy"))
    assert jobs["adopt_sae"] == 1 and jobs["apply_saes"] and "train_saes" not in jobs


def test_an_sae_of_the_hub_is_pinned(change):
    commit = "0123456789" * 4
    place = "hf:owner/name/folder"
    change.settings(sae={"pretrained": {"theirs": {"1": f"{place}@{commit}"}}})
    assert change.work("toy", "pretrained") == {"adopt_sae": 1}
    change.settings(sae={"pretrained": {"theirs": {"1": f"{place}@main"}}})
    with pytest.raises(InputError, match=r"sae\.pretrained\.theirs\.1.*COMMIT.*hf models info owner/name`"):
        change.work("toy", "pretrained")


def test_another_study_is_its_own(change):
    change.settings("mini", sae={"k": 7})
    assert change.work() == {} and change.work("mini", "sae") == {"train_saes": 1}


def test_the_language_of_a_chosen_text_is_in_the_key_of_its_inspection(change):
    """It may be none of the study's."""
    change.settings("mini", tokens={"texts": [{"language": "ar", "text": "كتاب"}]})
    change.keys["mini"] = change._keys(change._table(), "mini")
    change.edit("data/languages/ar.py")
    assert change.work("mini")["inspect_tokens"] == 1


def test_a_model_folder_by_another_name_remakes_only_what_shows_it(change):
    """The page and the headings of token figures; an adopted SAE, whose files may say of which model it is."""
    shutil.copytree(ROOT / "resources/planted", change.folder / "renamed")
    seen = {"tokens": {"texts": [{"language": "en", "text": "a woman"}]}}
    seen["sae"] = {"pretrained": {"theirs": {"1": str(change.folder / "theirs")}}}
    (change.folder / "theirs").mkdir()
    (change.folder / "theirs/params.safetensors").write_text("weights")
    change.settings(**seen)
    change.keys["toy"] = change._keys(change._table(), "toy")
    change.settings(model={"id": str(change.folder / "renamed")})
    table, showing = change._table(), {*PAGES, "token_inspection", "pretrained"}

    def shows(kind, wildcards):
        return kind in showing or any(shows(*need) for need in table.needs(kind, wildcards))

    differing = {
        place for place, key in change._keys(table, "toy").items() if key != change.keys["toy"][place]
    }
    assert {kind for kind, *_ in differing} >= showing
    assert all(shows(kind, dict(wildcards)) for kind, *wildcards in differing)


def test_a_study_by_another_name_retrains_nothing(change):
    """Every key is that of the study of the same settings, up to the pages that have the name on them."""
    change.studies["renamed"] = copy.deepcopy(TOY)
    table = change._table()
    renamed, toy = change._keys(table, "renamed"), change.keys["toy"]
    differing = {
        place[0]
        for place, key in renamed.items()
        if key != toy[tuple(("study", "toy") if pair == ("study", "renamed") else pair for pair in place)]
    }
    assert len(renamed) == len(toy) and differing == {*PAGES, "feature_pages", "plots"}
