# Every helper that the rules use. Nothing here or below may import torch: each cluster job reads this file.
import atexit
import gc
import os
import shlex
import sys
from functools import cache
from pathlib import Path

# What Snakemake has loaded stays, and so does most of what a plan makes: collections need not look for garbage in it.
gc.freeze()
gc.set_threshold(100_000)

# Snakemake asks of every parameter whether it is a table of pandas: all are strings here, and loading it is a fifth of a
# dry run.
sys.modules.setdefault("pandas", None)

# The folder of the Snakefile, wherever a workflow that uses this one as a module has its own.
CHECKOUT = Path(workflow.current_basedir).parent
# Jobs and this file read the library of this checkout, whatever is installed; an installed package has none beside it.
if (CHECKOUT / "src").is_dir():
    sys.path.insert(0, str(CHECKOUT / "src"))
    os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [sys.path[0], os.environ.get("PYTHONPATH")])))

from crosslens.artifacts.kinds import wildcards_of
from crosslens.artifacts.missing import kept_and_lost
from crosslens.artifacts.table import Studies, Table
from crosslens.errors import InputError
from crosslens.questions import STUDY, asks, of_figure
from crosslens.planning.limits import Limits
from crosslens.planning.rates import load_rates
from crosslens.store.digests import FileDigests, content_digest
from crosslens.store.code import remember_in
from crosslens.store.checkouts import register_checkout
from crosslens.store.store import Store
from crosslens.study.settings import load_yaml, validate
from crosslens.study.study import Study
from snakemake.logging import logger

# Idle OpenMP threads must sleep, not spin, or two jobs on one box slow each other down severalfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

MODULE = not workflow.modifier.is_main_snakefile()
SCHEMAS = CHECKOUT / "workflow" / "schemas"


def command_of(name):
    """A script of workflow/scripts/ that loads nothing, as a command of a rule."""
    words = shlex.join([sys.executable, "-IS", f"{CHECKOUT}/workflow/scripts/{name}"])
    return words.replace("{", "{{").replace("}", "}}")


LINK = command_of("link.py") + " {params.to:q} {output:q} 2> {log:q}"


def told(read):
    """What `read` returns; bad input ends the workflow with its message alone: Snakemake puts a traceback to what it catches."""
    try:
        return read()
    except InputError as error:
        logger.error(str(error))
        raise SystemExit(1) from None


def read_study(name):
    """A study of the folder that config/config.yaml names."""
    study = told(lambda: Study(name, Path(config["studies"]), SCHEMAS / "study.schema.yaml", file_digests))
    for remark in study.remarks if workflow.is_main_process else ():
        logger.warning(remark)
    return study


# What config/config.yaml and --config say together; the latter gives a lone name as a string. Snakemake read the file:
# it keeps the last of two equal keys without a word.
for file in filter(os.path.isfile, ["config/config.yaml"]):
    told(lambda: load_yaml(Path(file)))
if isinstance(config.get("run"), str):
    config["run"] = [config["run"]]
told(lambda: validate(config, Path("config/config.yaml"), load_yaml(SCHEMAS / "config.schema.yaml")))
store, table = told(Store), Table(Studies(read_study))
limits = Limits(table, told(load_rates))
file_digests, code_digests = FileDigests(store.own / "files.json"), remember_in(*store.roots)
# When this process ends, whatever it was started for: dry runs read sources and files too.
for memory in (file_digests, code_digests):
    atexit.register(memory.save)


def place_of(wildcards):
    """Snakemake's wildcards as a plain dict."""
    return dict(wildcards.items())


# Of work rules: each computes what the store lacks, and is known by its name alone.


def done(rule):
    """Output: the mark of a finished job, temporary: gone once its artifacts are linked."""
    return Path("results/.jobs", rule, *(f"{{{name}}}" for name in table.per(rule))).as_posix()


def logged(rule):
    """Log."""
    return "logs/{study}/" + "_".join([rule, *(f"{{{name}}}" for name in table.per(rule)[1:])]) + ".log"


def needed(rule):
    """Input: the paths of all that it reads and does not make itself."""
    return lambda wildcards: [
        path
        for kind, w in told(lambda: table.needed(rule, place_of(wildcards)))
        for path in table.kinds[kind].paths(w)
    ]


def job(rule):
    """The one parameter: recipes, inputs and place, as one canonical string (see store/job.py)."""
    return lambda wildcards: told(lambda: table.job(rule, place_of(wildcards)))


def megabytes(rule):
    """Memory, more with every attempt."""
    return lambda wildcards, attempt, threads: attempt * table.megabytes(rule, place_of(wildcards), threads)


def minutes(rule):
    """The time that a cluster gives it, more with every attempt."""
    return lambda wildcards, attempt: attempt * limits.minutes(rule, place_of(wildcards))


@cache
def begun():
    """gc keeps what a registered checkout shows."""
    told(lambda: register_checkout(store))


# Of name rules: each links an artifact's place under results/ to the store, and is known by its kind.


def astray(path, key):
    """Whether something stands at a path that is no link to the artifact of that key."""
    try:
        return key not in os.readlink(path).split("/")[-2:]
    except FileNotFoundError:
        return False
    except OSError:
        return True


def made(kind):
    """Input: the work job, but only while the store lacks the artifact; else what is left of what it was made from.

    Links are looked at here, since Snakemake's records of what they show can be lost; dry runs say what they find.
    """

    def inputs(wildcards):
        w = place_of(wildcards)
        told(lambda: table.check(kind, w))
        if workflow.is_main_process:
            if MODULE and not workflow.dryrun:
                # Snakemake runs `onstart` of the main Snakefile alone.
                begun()
            key = told(lambda: table.key(kind, w))
            paths = table.kinds[kind].paths(w)
            # Snakemake stops at a link that leads nowhere, in a dry run too: of a store that was removed there are many.
            for path in map(Path, paths):
                if path.is_symlink() and not path.exists():
                    path.unlink(missing_ok=True)
            workflow.dag.forcefiles.update(path for path in paths if astray(path, key))
            if not all(os.path.lexists(path) and not astray(path, key) for path in paths):
                store.renew(key)
        mark = Path(done(table.kinds[kind].by).format(**w))
        left = mark.exists()
        if store.has(told(lambda: table.key(kind, w))):
            # One path of each: the others of an artifact are made with it.
            return [table.kinds[k].paths(v)[0] for k, v in table.needs(kind, w) if store.has(table.key(k, v))]
        # A job publishes before its mark is set: this one is what a killed run left of other work.
        if left:
            mark.unlink(missing_ok=True)
        # Links of what the same job made come first: one that is newer than this would be news to the next run.
        beside = [need for need in table.needs(kind, w) if table.kinds[need[0]].by == table.kinds[kind].by]
        return [str(mark), *(path for k, v in beside for path in table.kinds[k].paths(v))]

    return inputs


def stored(kind):
    """Parameter: where the store has the artifact, or will have it."""
    return lambda wildcards: str(store.action(table.key(kind, place_of(wildcards))))


def shown(kind):
    """Output: the place or places of an artifact; pictures and the page go into `snakemake --report`."""
    declared = table.kinds[kind]
    if declared.files:
        captions = {f"{declared.path}/{file}": words for file, words in declared.files.items()}
        return [pictured(path, words) if words else path for path, words in captions.items()]
    if declared.each:
        return tabulated(declared.path, declared.each)
    return declared.path if Path(declared.path).suffix not in ("", ".zarr") else directory(declared.path)


def pictured(path, words):
    """A picture in `snakemake --report`: under its question, by study, layer, SAE and languages."""
    stem = Path(path).stem
    return report(
        path,
        caption="../workflow/report/figure.rst",
        category=of_figure(stem).asks,
        subcategory="{study}",
        labels=lambda w: labels_of(stem, w) | {"shows": words.format(units="samples")},
    )


def tabulated(path, each):
    """The tables of a folder in `snakemake --report`, each under its question."""
    return report(
        directory(path),
        patterns=[each],
        caption="../workflow/report/table.rst",
        category=lambda w: asks(w.question),
        subcategory="{study}",
        labels=lambda w: labels_of(w.table, w) | {"shows": "table, as CSV"},
    )


def labels_of(name, wildcards):
    """What an entry of `snakemake --report` is sorted by; a figure of all layers or languages says so."""
    w = place_of(wildcards)
    spoken = table.studies[w["study"]].languages
    return {
        "result": name,
        "layer": w.get("site", "all"),
        "SAE": w.get("corpus", "all"),
        "languages": w.get("language") or ", ".join(spoken),
    }


def name_log(kind):
    """Log."""
    own = wildcards_of(table.kinds[kind].path)[1:]
    return "logs/{study}/names/" + "_".join([kind, *(f"{{{name}}}" for name in own)]) + ".log"


# Of targets that collect.


def explored(wildcards):
    """Input: of every study that `run:` names its pages in one folder."""
    return [f"results/{study}/explorer" for study in config["run"]]


def collected(*kinds):
    """Input: all artifacts of these kinds, or without any all that is left or summed up, in every study that `run:` names."""

    def of(study):
        if kinds:
            at = table.at({"study": study})
            return [need for kind in kinds for need in at.every(kind)]
        kept, lost = kept_and_lost(table, study, store.has)
        for kind, w in lost if workflow.is_main_process else ():
            # One of its name, of other settings, would pass for it.
            for path in filter(os.path.islink, table.kinds[kind].paths(w)):
                if astray(path, table.key(kind, w)):
                    os.unlink(path)
        if lost:
            some = ", ".join(table.kinds[kind].paths(w)[0] for kind, w in lost[:3])
            logger.warning(
                f"{study}: {len(lost)} of its artifacts, lost or forgotten, are needed by nothing that is asked for: {some}"
                f"{', …' if lost[3:] else ''}; `snakemake PATH` makes one anew"
            )
        return kept

    return lambda wildcards: [
        path
        for kind, w in told(lambda: [need for study in config["run"] for need in of(study)])
        for path in table.kinds[kind].paths(w)
    ]
