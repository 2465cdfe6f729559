# Every helper that the rules use. Nothing here or below may import torch: each cluster job reads this file.
import json
import os
import sys
from pathlib import Path

# Jobs and this file read the library of this checkout, whatever is installed.
sys.path.insert(0, str(Path(workflow.basedir) / "src"))
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [sys.path[0], os.environ.get("PYTHONPATH")])))

from crosslens.errors import InputError
from crosslens.planning import memory
from crosslens.store.digests import FileDigests, content_digest, digest
from crosslens.store.maintenance import register_checkout
from crosslens.store.fingerprint import closure, remember_in
from crosslens.store.recipes import Kind, Recipes
from crosslens.store.store import Store
from crosslens.study import Study, validate
from snakemake.exceptions import WorkflowError

# Idle OpenMP threads must sleep, not spin, or two jobs on one box slow each other down severalfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SCHEMAS = Path(workflow.basedir) / "workflow" / "schemas"
LINK = (
    f'{sys.executable} -I "{workflow.basedir}/workflow/scripts/link.py" {{params.to}} {{output}} 2> {{log}}'
)


class Studies(dict):
    """Study name to Study, each read when it is first named by a target."""

    def __missing__(self, name):
        self[name] = told(
            lambda: Study(name, Path(config["studies"]), SCHEMAS / "study.schema.yaml", file_digests)
        )
        return self[name]


def told(read):
    """What `read` returns; bad input ends the workflow with its message and no traceback."""
    try:
        return read()
    except InputError as error:
        raise WorkflowError(str(error)) from None


# What config/config.yaml and --config say together; the latter gives a lone name as a string.
if isinstance(config.get("run"), str):
    config["run"] = [config["run"]]
told(lambda: validate(config, Path("config/config.yaml"), SCHEMAS / "config.schema.yaml"))
store, recipes, jobs, together = Store(), Recipes(), {}, {}
file_digests, code_digests = FileDigests(store.own / "files.json"), remember_in(store.own)
studies = Studies()
LAYER_FIGURES = ["training.png", "density.png", "decoder.png"]
GENDER_LAYER_FIGURES = ["gender_features.png", "effect_sizes.png"]
STUDY_FIGURES = ["quality.png", "retrieval.png"]
FIGURES = ["layer_figures", "gender_layer_figures", "study_figures", "gender_figures", "sweep_figure"]
GENDER_FIGURES = ["probes.png", "transfer.png", "stereotype.png"]


def artifact(name, path, *, code, params, needs=lambda w: [], reads=lambda w: [], role="", files=()):
    """Declare a kind of artifact (see crosslens.store.recipes.Kind).

    Its work job makes it alone unless `jobs` says more, and has its wildcards unless `together` names fewer.
    """
    recipes.add(Kind(name, path, code, params, needs, reads, role, tuple(files)))
    jobs[name] = lambda w: {role or name: (name, w)}


def of(w):
    """The study that the wildcards name."""
    return studies[w["study"]]


def settings(w, key):
    """One section of the settings of the study that the wildcards name."""
    return of(w).settings[key]


def plain(wildcards):
    """Snakemake's wildcards as a plain dict."""
    return dict(wildcards.items()) if not isinstance(wildcards, dict) else wildcards


def done(kind):
    """The path pattern of the mark of a finished work job: temporary, gone once its artifacts are linked."""
    known = "study model part language corpus site seed variant other".split()
    own = together.get(kind) or [name for name in known if f"{{{name}}}" in recipes.kinds[kind].path]
    return Path("results/.jobs", kind, *(f"{{{name}}}" for name in own)).as_posix()


def present(kind, w):
    """The paths of what the artifact was made from, as far as the store still has it."""
    return [
        path
        for k, v in recipes.needs(kind, w)
        if store.has(recipes.key(k, v))
        for path in recipes.kinds[k].paths(v)
    ]


def made(kind, by=None):
    """Input of a name rule: the work job, but only while the store lacks the artifact."""
    by = by or kind

    def inputs(wildcards):
        w = plain(wildcards)
        mark = Path(done(by).format(**w))
        left = mark.exists()
        if store.has(told(lambda: recipes.key(kind, w))):
            return present(kind, w)
        # A job publishes before its mark is set: this one is what a killed run left of other work.
        if left:
            mark.unlink(missing_ok=True)
        return str(mark)

    return inputs


def stored(kind):
    """Parameter of a name rule: where the store has the artifact, or will have it."""
    return lambda wildcards: str(store.action(recipes.key(kind, plain(wildcards))))


def shown(kind):
    """Output of a name rule: the path pattern or patterns of an artifact."""
    patterns = recipes.kinds[kind].patterns()
    return patterns if recipes.kinds[kind].files else patterns[0]


def pictured(kind, category):
    """What `snakemake --report` shows of an artifact: each file with its caption of workflow/report/, under a category."""
    captions = [
        (path, "page" if kind == "page" else Path(path).stem) for path in recipes.kinds[kind].patterns()
    ]
    words = lambda name: dict(
        caption=f"../workflow/report/{name}.rst", category=category, labels={"figure": name}
    )
    return [report(path, **words(name)) for path, name in captions]


def _reads(*artifacts):
    """(kind, wildcards) of all that artifacts (kind, wildcards) are made from, each once."""
    seen = {}
    for kind, w in artifacts:
        for k, v in [*recipes.needs(kind, w), *recipes.kinds[kind].reads(w)]:
            seen.setdefault((k, *sorted(v.items())), (k, v))
    return list(seen.values())


def _inputs(kind, w):
    """(kind, wildcards) of all that a job reads, for whichever of its artifacts, and whether it makes it itself."""
    made_here = jobs[kind](w).values()
    own = {recipes.key(*artifact) for artifact in made_here}
    return [(k, v, recipes.key(k, v) in own) for k, v in _reads(*made_here)]


def needed(kind):
    """Input of a work rule: the paths of all that it reads and does not make itself."""
    return lambda wildcards: [
        path
        for k, w, own in told(lambda: _inputs(kind, plain(wildcards)))
        if not own
        for path in recipes.kinds[k].paths(w)
    ]


def job(kind, local=lambda w: {}):
    """The one parameter of a work rule: its recipes, inputs and place, as one canonical string (see store/job.py)."""

    def document(wildcards):
        w = plain(wildcards)
        artifacts = {
            name: {
                "recipe": recipes.describe(k, v),
                "kind": recipes.kinds[k].role or k,
                "suffix": Path(recipes.kinds[k].path).suffix,
                "inputs": [recipes.key(*need) for need in _reads((k, v))],
            }
            for name, (k, v) in jobs[kind](w).items()
        }
        inputs = [
            {
                "key": recipes.key(k, v),
                "path": str(store.action(recipes.key(k, v))) if own else recipes.kinds[k].path.format(**v),
                "files": recipes.kinds[k].files,
                "kind": recipes.kinds[k].role or k,
                "wildcards": v,
            }
            for k, v, own in _inputs(kind, w)
        ]
        text = {"artifacts": artifacts, "inputs": inputs, "local": local(w)}
        return json.dumps(text, sort_keys=False, ensure_ascii=False)

    return lambda wildcards: told(lambda: document(wildcards))


def model_place(w):
    """Where and on what the model runs: not part of any key."""
    model = dict(settings(w, "model"))
    for kind, v in model_of(w):
        (model["id"],) = recipes.kinds[kind].paths(v)
    return {"model": model, "images": image_folder(w)}


def training_place(w):
    """Where SAEs are trained, and how many at once."""
    return model_place(w) | {"at_once": settings(w, "sae")["at_once"]}


def pretrained_place(w):
    """Where a pretrained SAE is, and how wide it must be, where that is known."""
    return {"source": source_of_pretrained(w), "width": of(w).width if of(w).model_folder else None}


def source_folder(w):
    """The folder of the drawn or collected source, or None."""
    return next((recipes.kinds[kind].path.format(**v) for kind, v in source_of(w)), None)


def image_folder(w):
    """The folder of the pictures: the user's, or the drawn ones."""
    if of(w).draws_pictures:
        return f"{source_folder(w)}/images"
    return str(of(w).images) if of(w).images else None


def data_place(w):
    """Where the captions, pictures and lexicons are."""
    folder = source_folder(w)
    captions = f"{folder}/captions.csv" if folder else settings(w, "source")["captions"]
    return {"captions": captions, "images": image_folder(w), "lexicons": settings(w, "lexicons")}


def megabytes(rule, w, threads=1):
    """What a job of `rule` needs; the model by the folder that a rule makes, where there is one."""
    return memory.job_mb(rule, of(w), Path(model_place(w)["model"]["id"]), threads=threads)


def languages_of(w):
    """The languages of a corpus: its own, or all of them for the joint and for pretrained SAEs."""
    return [w["corpus"]] if w["corpus"] in of(w).languages else of(w).languages


def at(w, *names, **more):
    """The study and the wildcards `names` of `w`, and `more`."""
    return {name: w[name] for name in ("study", *names)} | more


def parts_of(w, kind, language, *names):
    """(kind, wildcards) of every part of one language."""
    return [(kind, at(w, *names, language=language, part=part)) for part in of(w).parts]


def common_languages(study, other):
    """The languages of a study that another one has too."""
    found = [language for language in study.languages if language in studies[other].languages]
    if not found:
        study.fail(
            "compare.with",
            f"{other!r}, a study of {studies[other].languages}",
            f"a study of {study.languages}",
            "compare studies of the same texts",
        )
    return found


def targets(study, kind):
    """The paths of all artifacts of one kind in one study."""
    w = {"study": study}
    corpora = [{"corpus": corpus} for corpus in of(w).corpora]
    parts = [{"language": language, "part": part} for language in of(w).languages for part in of(w).parts]
    sites = [{"site": site} for site in of(w).sites]
    trained = [{"site": site} for site in of(w).sae_sites]
    swept = [corpus | site for corpus in corpora for site in trained] if of(w).variants else []
    several = {
        "layer": sites,
        "layer_figures": trained,
        "gender_layer_figures": trained if of(w).has_gender else [],
        "gender_figures": [{}] if of(w).has_gender else [],
        "tokens": parts,
        "activations": [site | part for site in sites for part in parts],
        "sae": [
            site | corpus | {"seed": seed} for site in trained for corpus in corpora for seed in of(w).seeds
        ],
        "pretrained": [
            {"corpus": name, "site": site} for name, sources in of(w).pretrained.items() for site in sources
        ],
        "swept_sae": [each | {"variant": variant} for each in swept for variant in of(w).variants],
        "texts_metadata": [{}] if of(w).is_generation else [],
        "token_inspection": [{}] if settings(w, "tokens") else [],
        "model_comparison": [
            {"other": other, "language": language}
            for other in settings(w, "compare")["with"]
            for language in common_languages(of(w), other)
        ],
        "sweep": swept,
        "sweep_figure": swept,
        "stereotype": [{}] if stereotype_of(w) else [],
    }
    return [path for more in several.get(kind, [{}]) for path in recipes.kinds[kind].paths(w | more)]


def collected(*kinds):
    """Input of a named target: the artifacts of these kinds in every study that `run:` names."""
    return lambda wildcards: told(
        lambda: [path for study in config["run"] for kind in kinds for path in targets(study, kind)]
    )
