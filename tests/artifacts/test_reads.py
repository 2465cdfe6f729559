"""A job reads what its key holds and nothing else: every file that the jobs of small studies open is accounted for."""

import importlib
import json
import os
import runpy
import shutil
import site
import sys
import sysconfig
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import pandas as pd
import pytest
import torch
import yaml
from chat_server import serving_chat
from checkouts import ANSWERS, SENTENCES, TOY
from file_reads import Watch, recorded

from crosslens.artifacts.table import Studies, Table
from crosslens.sae.exchange.sparsify import write_sparsify
from crosslens.sae.model import TopKSAE
from crosslens.store.digests import FileDigests, content_digest
from crosslens.store.fingerprint import NEUTRAL
from crosslens.store.store import Store
from crosslens.study.study import Study

sys.path.insert(0, str(Path(__file__).parents[1] / "sources"))
from catalogue_files import write_catalogues
from mt_geneval_files import lay, planted_sentences

# All jobs of five studies: minutes.
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's"),
    pytest.mark.long,
]

ROOT = Path(__file__).parents[2]
OF_ARTIFACTS = {
    *("compare_controls", "draw_controls", "compare_layers", "draw_divergence_figure"),
    *("match_features", "draw_matching_figure", "draw_maps", "measure_geometry", "draw_geometry"),
}
"""Rules that read artifacts alone, and need larger studies: tests/test_storage.py runs them."""
JOBS = ("crosslens.store", "crosslens.registry")
"""How jobs run and find members: in no key, as it decides no number."""


PRELOADED = (
    *(
        "pandas",
        "pyarrow.parquet",
        "zarr",
        "scipy.stats",
        "sklearn.linear_model",
        "matplotlib.figure",
        "seaborn",
    ),
    *(f"transformers.models.gemma3.{name}_gemma3" for name in ("modeling", "processing", "configuration")),
    "transformers.models.gemma.tokenization_gemma",
    "transformers.models.siglip.modeling_siglip",
)
"""By the parent, so that no child does."""


def installed() -> list[Path]:
    """Where Python, its packages and the system are."""
    paths = sysconfig.get_paths()
    roots = [
        *(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        *site.getsitepackages(),
    ]
    roots += [sys.prefix, sys.base_prefix, "/proc", "/sys", "/dev", "/etc", "/usr", matplotlib.get_cachedir()]
    return [Path(root).resolve() for root in roots]


INSTALLED = installed()


class World:
    """Studies of a user's own files, whose jobs run in children of this process."""

    asked = {
        "own": (),
        "texts": ("activations",),
        "answers": ("texts_summary", "clamp"),
        "drawn": (
            *("dataset", "circuits", "ablation_figure", "group_ablation", "substitution_figure"),
            *("lens_figure", "attention_figure", "patching_figures", "feature_patching", "steering_figures"),
        ),
        "sentences": ("agreement_figure",),
    }
    """What is made of each, and all that it is made from; (): everything."""

    def __init__(self, folder: Path, url: str):
        """url: of a chat server."""
        self.folder, self.user, self.url = folder, folder / "user", url
        self.store = Store(str(folder / "store"))
        (folder / "store/objects").mkdir(parents=True)
        self.user.mkdir()
        digests, schema = FileDigests(folder / "files.json"), ROOT / "workflow/schemas/study.schema.yaml"
        for name, settings in self.studies().items():
            text = yaml.safe_dump(settings, allow_unicode=True)
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        self.table = Table(Studies(lambda name: Study(name, folder, schema, digests)))
        self.compared = {self.user / "model" / name for name in ("README.md", "card.json", "SHA256SUMS")}
        self.watch = Watch(self.user, folder / "store/objects")

    def studies(self) -> dict:
        """Pictures in folders, lexicons, an adapter with a helper and an SAE of others; texts; answers of a model."""
        captions, pictures = self.write_captions(24)
        sample = captions.read_text(encoding="utf-8").splitlines()[1].split(",")[0] + "#0"
        lexicons = {}
        for language in ("en", "ar"):
            lexicons[language] = str(self.user / f"{language}.yaml")
            shutil.copy(ROOT / f"resources/lexicons/planted_{language}.yaml", lexicons[language])
        shutil.copytree(ROOT / "resources/planted", self.user / "model")
        (self.user / "adapter.py").write_text("import helper\n")
        (self.user / "helper.py").write_text(
            "from crosslens.models.adapters import register\n"
            "from crosslens.models.adapters.gemma import Gemma3\n\n"
            '@register("gemma3")\nclass Mine(Gemma3): pass\n'
        )
        sae = TopKSAE(128, 32, 4)
        rows = torch.randn(32, 128, generator=torch.Generator().manual_seed(0))
        sae.W_dec.copy_(torch.nn.functional.normalize(rows, dim=1))
        sae.W_enc.copy_(sae.W_dec.T)
        write_sparsify(self.user / "sae/layers.1", sae)
        words, theirs = ("all", "some", "both", "new", "old"), ("كل", "بعض", "كلا", "جديد", "قديم")
        messages = {
            f"Copy {word} files of this folder": f"نسخ {more} الملفات من هذا المجلد"
            for word, more in zip(words, theirs, strict=True)
        }
        catalogues = self.user / "messages"
        write_catalogues(catalogues, {"pkg": messages})
        model = {"id": str(self.user / "model")}
        own = {
            **TOY,
            "model": model | {"adapter": str(self.user / "adapter.py")},
            "source": {"captions": str(captions), "images": str(pictures)},
            "lexicons": lexicons,
            "sae": {
                **TOY["sae"],
                "epochs": 1,
                "pretrained": {"theirs": {"1": str(self.user / "sae/layers.1")}},
            },
            "sweep": {"k": [4]},
            "gender": {**TOY["gender"], "conditions": ["prompt", "caption", "generated"]},
            "stereotype": {"samples_per_image": 1, "max_new_tokens": 2},
            "tokens": {"samples": [sample], "texts": [{"language": "en", "text": "a woman"}]},
            "compare": {"with": ["beside"], "max_samples": 10, "draws": 2},
            "describe": {
                "features": 1,
                "examples": 1,
                "method": "endpoint",
                "endpoint": {"url": self.url, "model": "words"},
            },
        }
        lay(self.user / "sentences", {"dev": planted_sentences(30)[:20], "test": planted_sentences(30)[20:]})
        sentences = {
            **SENTENCES,
            "model": model,
            "source": {"mt_geneval": {"folder": str(self.user / "sentences")}},
        }
        texts = {
            **{
                name: TOY[name] for name in ("languages", "prompts", "splits", "sites", "quality", "features")
            },
            "model": model,
            "source": {"names": {"messages": {"folder": str(catalogues), "count": 5}}},
            "gender": None,
            "activations": {**TOY["activations"], "roles": ["caption"]},
            "sae": {**TOY["sae"], "roles": ["caption"], "epochs": 1},
        }
        answers = {**ANSWERS, "model": model, "sites": ["1"], "clamp": {"max_new_tokens": 2}}
        drawn = {**TOY, "model": model, "source": {"planted": {"images": 40}}, "geometry": {}}
        drawn |= {"sae": {**TOY["sae"], "corpora": ["joint", "en", "ar"]}}
        drawn |= {"causal": {"features": 1, "pairs": 1, "samples": 4}}
        person = {"en": {"female": "a woman", "male": "a man"}, "ar": {"female": "امرأة", "male": "رجل"}}
        small = {"pairs": 2, "attributed": 0, "heads": False, "features": 1, "bootstraps": 20}
        drawn |= {"patching": {"words": person, **small}}
        drawn |= {"lenses": {"samples": 2, "tokens": 8, "epochs": 0, "bootstraps": 10, "permutations": 19}}
        steered = {"features": 1, "strengths": [1], "random_sets": 20, "samples": 2, "captions": 1}
        drawn |= {"steering": {**steered, "max_new_tokens": 2}}
        drawn |= {"attention": {"samples": 2, "shown": 1, "bootstraps": 10}}
        beside = {name: own[name] for name in (*TOY, "source", "model", "lexicons")} | {"sae": TOY["sae"]}
        given = {"own": own, "beside": beside, "texts": texts, "answers": answers}
        return given | {"drawn": drawn, "sentences": sentences}

    def write_captions(self, images: int) -> tuple[Path, Path]:
        """Drawn scenes, half of them in a folder below, one with two captions."""
        from crosslens.planted.source import draw_source

        made, pictures = self.folder / "drawn", self.user / "pictures"
        draw_source(made, images=images, seed=3)
        (pictures / "sub").mkdir(parents=True)
        lines = (made / "captions.csv").read_text(encoding="utf-8").splitlines()
        rows = []
        for number, line in enumerate(lines[1:]):
            image_id, rest = line.split(",", 1)
            (file,) = (made / "images").glob(f"{Path(image_id).stem}.*")
            moved = f"{'sub/' if number % 2 else ''}{Path(image_id).stem}"
            shutil.copy(file, pictures / f"{moved}{file.suffix}")
            rows.append(f"{moved},{rest}")
        captions = self.user / "captions.csv"
        captions.write_text("\n".join([lines[0], *rows]), encoding="utf-8")
        return captions, pictures

    def run(self, rule: str, place: dict[str, str]) -> set[str]:
        """Run a job; what it read that nothing accounts for."""
        told = self.table.job(rule, place)
        job = json.loads(told)
        snakemake = SimpleNamespace(params=SimpleNamespace(job=told), wildcards=place, threads=1, log=[])
        scripts = {
            self.table.kinds[kind].script or rule for kind, _ in self.table.makes(rule, place).values()
        }
        (script,) = (ROOT / f"workflow/scripts/{name}.py" for name in scripts)
        work = lambda: runpy.run_path(str(script), {"snakemake": snakemake})  # noqa: E731
        read, modules = recorded(work, self.watch, self.folder / "notes.json")
        made = [self.store.object(artifact["recipe"]["key"]) for artifact in job["artifacts"].values()]
        inputs = [self.store.object(entry["key"]) for entry in job["inputs"]]
        files = {Path(file).absolute() for file in job["files"]}
        vouched = self.vouched(job)
        code = [artifact["recipe"]["modules"] for artifact in job["artifacts"].values()]
        beside = {ROOT / "src" / name for modules in code for name in modules if "/" in name}

        def accounted(path: Path) -> bool:
            if path.is_relative_to(self.store.own / "objects"):
                return any(path.is_relative_to(target) for target in [*inputs, *made])
            return (
                path in {*files, *beside, script, self.folder / "notes.json"}
                or path.is_relative_to(self.store.own)
                or (path.is_relative_to(ROOT / "src") and path.suffix in (".py", ".pyc"))  # by modules, below
                or any(path.resolve().is_relative_to(root) for root in INSTALLED)
                or path in self.compared
                or content_digest(path) in vouched
            )

        of_rule = [self.table.kinds[kind] for kind in self.table.kinds if self.table.kinds[kind].by == rule]
        known = NEUTRAL.union(*code, *(self.closure_of(kind.module) for kind in of_rule))
        unknown = {name for name in modules - known if not name.startswith(JOBS)}
        return {str(path) for path in read if path.is_file() and not accounted(path)} | unknown

    def again(self, rule: str, place: dict[str, str]) -> set[str]:
        """As `run`, whether or not it has run."""
        for need in self.table.makes(rule, place).values():
            self.store.action(self.table.key(*need)).unlink(missing_ok=True)
        return self.run(rule, place)

    @staticmethod
    def closure_of(module: str) -> dict[str, str]:
        """Of another kind of the same script, which imports its function too."""
        from crosslens.store.fingerprint import closure

        return closure(module).modules

    def vouched(self, job: dict) -> set[str]:
        """Digests that files are compared with when they are read: by a manifest that is in the key, by a table of samples."""
        found = set()
        for file in job["files"]:
            if Path(file).name == "manifest.json":
                packages = json.loads(Path(file).read_text())["packages"]
                found |= {entry["sha256"] for package in packages for entry in package["catalogues"]}
        for entry in job["inputs"]:
            if entry["kind"] in ("dataset", "written"):
                found |= {*pd.read_parquet(self.store.object(entry["key"]))["image_sha256"]}
        return found

    def jobs(self) -> list[tuple[str, dict[str, str]]]:
        """All jobs that are asked for, each after those that it reads of."""
        found: dict[tuple, tuple] = {}

        def visit(kind: str, w: dict[str, str]) -> None:
            by = self.table.kinds[kind].by
            place = {name: w[name] for name in self.table.per(by)}
            if (by, *place.items()) not in found:
                for need in self.table.needed(by, place):
                    visit(*need)
                found[(by, *place.items())] = (by, place)

        for study, kinds in self.asked.items():
            for need in self.table.everything(study):
                if not kinds or need[0] in kinds:
                    visit(*need)
        return list(found.values())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.chdir(ROOT)
    folder = tmp_path_factory.mktemp("reads")
    patch.setenv("CROSSLENS_STORE", str(folder / "store"))
    patch.setattr(tempfile, "tempdir", str(folder / "store"))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in PRELOADED:
        importlib.import_module(name)
    with serving_chat() as server:
        yield World(folder, server.url)
    patch.undo()


def test_every_file_that_a_job_reads_is_in_its_key(world):
    ran = set()
    for rule, place in world.jobs():
        assert world.run(rule, place) == set(), (rule, place)
        ran.add(rule)
    assert ran == world.table.works.keys() - {"prepare_model", *OF_ARTIFACTS}


@pytest.mark.parametrize(
    ("study", "kind", "left_out"),
    [
        ("own", "dataset", "en.yaml"),
        ("own", "dataset", "sub/scene_000001.png"),
        ("answers", "texts", "model.safetensors"),
    ],
)
def test_a_file_that_a_declaration_leaves_out_is_found(world, monkeypatch, study, kind, left_out):
    """The first two are read in Python, the third in Rust."""
    by = world.table.kinds[kind].by
    for found in world.table.kinds_of(by):
        files = found.files_read
        fewer = lambda at, files=files: [file for file in files(at) if not str(file).endswith(left_out)]  # noqa: E731
        monkeypatch.setitem(world.table.kinds, found.name, replace(found, files_read=fewer))
    (found,) = world.again(by, {"study": study})
    assert found.endswith(left_out)


def test_code_that_a_key_leaves_out_is_found(world, monkeypatch):
    """As a module that a stage imports by a name that is nowhere written."""
    hidden, describe, closure_of = "crosslens.data.labels", world.table.describe, world.closure_of

    def without(modules: dict[str, str]) -> dict[str, str]:
        return {name: sha256 for name, sha256 in modules.items() if name != hidden}

    monkeypatch.setattr(world, "closure_of", lambda module: without(closure_of(module)))
    monkeypatch.setattr(
        world.table,
        "describe",
        lambda *need: describe(*need) | {"modules": without(describe(*need)["modules"])},
    )
    assert world.again("build_dataset", {"study": "own"}) == {hidden}
