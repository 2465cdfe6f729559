"""A built study as an RO-Crate: its files without links, and how each was made, as a Workflow RO-Crate with its runs.

Vocabulary: RO-Crate 1.1, Workflow RO-Crate 1.0 and, for how each artifact was made, the CreateActions of the Process Run
Crate 0.5 (w3id.org/ro).
"""

import json
import mimetypes
import shutil
from collections.abc import Collection
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.results.built import Built
from crosslens.store.checkout import checkout
from crosslens.store.digests import content_digest
from crosslens.store.maintenance import explain

SPEC = "https://w3id.org/ro/crate/1.1"
PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
WORKFLOW = ("Snakefile", "rules", "workflow", "envs")
SHOWN = ("README.md", "LICENSE", "pyproject.toml")
LICENCE = "https://spdx.org/licenses/MIT"
Entity = dict[str, Any]


def export_rocrate(study: Built, out: Path, *, without: Collection[str] = (), licence: str = "") -> Path:
    """Write all built artifacts of a study into the new or empty folder `out`, with `ro-crate-metadata.json`; returns that.

    without: kinds of artifacts (docs/storage.md) that are told, with their digests, and not packed. licence: of the results,
    an address; the code's is MIT. Every object's bytes are compared with its digest. Raises InputError for a folder that is
    not empty, a kind that there is not, a study of which nothing is built, and bytes that are not what their name says.
    """
    if out.exists() and any(out.iterdir()):
        raise InputError(
            out, found="a folder that is not empty", expected="a new or empty one", mend="name another"
        )
    unknown = sorted({*without} - {*study.at().table.kinds})
    if unknown:
        raise InputError(
            "--without",
            found=", ".join(unknown),
            expected="kinds of artifacts",
            mend="take names of the first table of docs/storage.md",
        )
    built = [(kind, path) for (kind, _), paths, built in study.declared() if built for path in paths]
    if not built:
        raise InputError(
            study.folder,
            found="nothing built",
            expected="results",
            mend=f"`snakemake results/{study.name}/report/index.html`",
        )
    crate = _Crate(out)
    made: dict[str, str] = {}
    for kind, path in built:
        crate.artifact(study.top, path, kind, packed=kind not in without, made=made)
    with study.there():
        crate.file(study.settings.path, "the study's settings")
    for name in (*WORKFLOW, *SHOWN):
        crate.code(checkout() / name, name)
    return crate.write(study.name, licence)


class _Crate:
    """Entities by their id, and the files that they tell of."""

    def __init__(self, out: Path):
        self.out, self.parts, self.mentions = out, [], []
        self.entities: dict[str, Entity] = {}

    def add(self, identity: str, **fields: Any) -> Entity:
        return self.entities.setdefault(identity, {"@id": identity, **fields})

    def file(self, path: Path, words: str) -> None:
        """A file of the user's, by its path from the checkout on, where it lies below."""
        if not path.is_absolute() and ".." not in path.parts and path.is_file():
            self._copy(path, path.as_posix())
            self._part(path.as_posix(), self.out / path, name=words)

    def code(self, source: Path, name: str) -> None:
        """A file or folder of the workflow; those of an installed package lack some."""
        if source.exists():
            self._copy(source, name)
            self._part(name, self.out / name, name=name)

    def artifact(self, top: Path, path: str, kind: str, *, packed: bool, made: dict[str, str]) -> None:
        """An artifact and the action that made it."""
        link = top / path
        told = explain(link)
        name, key = told["object"], told["key"]
        sha256 = name.split(".")[0]
        if packed:
            self._copy(link, path)
            # a file of a folder artifact is no object of its own
            if (
                link.is_symlink()
                and Path(link.readlink()).name == key
                and content_digest(self.out / path) != sha256
            ):
                raise InputError(
                    path,
                    found="other bytes than its digest says",
                    expected=sha256,
                    mend=f"`crosslens store verify`, then `crosslens store forget {path}` and build it again",
                )
            identity = self._part(path, self.out / path, name=f"{kind}: {path}", sha256=sha256)
        else:
            identity = f"#{key}"
            self.add(
                identity, **{"@type": "CreativeWork"}, name=f"{kind}: {path} (not packed)", sha256=sha256
            )
        action = f"#made-{key}"
        if action in self.entities:
            self.entities[action]["result"].append({"@id": identity})
            return
        made[key] = identity
        recipe = told["recipe"]
        inputs = [{"@id": made.get(of["key"], f"#{of['key']}")} for of in told["inputs"]]
        for of in told["inputs"]:
            if of["key"] not in made:
                words = f"{of['path']} (of another study, or not packed)"
                self.add(
                    f"#{of['key']}",
                    **{"@type": "CreativeWork"},
                    name=words,
                    sha256=of["object"].split(".")[0],
                )
        tool = f"#{recipe['module']}"
        self.add(
            tool,
            **{"@type": "SoftwareApplication"},
            name=recipe["module"],
            softwareVersion=version("crosslens"),
        )
        self.add(
            action,
            **{"@type": "CreateAction"},
            name=f"{kind} by {recipe['module']}",
            description=json.dumps(
                {"key": key, "params": recipe["params"], "versions": recipe["versions"]}, ensure_ascii=False
            ),
            instrument={"@id": tool},
            object=inputs,
            result=[{"@id": identity}],
            endTime=told["made"],
            actionStatus={"@id": "http://schema.org/CompletedActionStatus"},
        )
        self.mentions.append({"@id": action})

    def _copy(self, source: Path, name: str) -> None:
        target = self.out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)

    def _part(self, place: str, path: Path, **fields: Any) -> str:
        if path.is_dir():
            identity = f"{place}/"
            self.add(identity, **{"@type": "Dataset"}, **fields)
        else:
            identity = place
            kind = mimetypes.guess_type(place)[0] or "application/octet-stream"
            self.add(
                identity,
                **{"@type": "File"},
                encodingFormat=kind,
                contentSize=str(path.stat().st_size),
                **fields,
            )
        self.parts.append({"@id": identity})
        return identity

    def write(self, study: str, licence: str) -> Path:
        """ro-crate-metadata.json, beside what it tells of."""
        snakemake = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
        self.entities["Snakefile"] |= {
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": "crosslens",
            "version": version("crosslens"),
            "license": {"@id": LICENCE},
            "programmingLanguage": {"@id": snakemake},
        }
        self.add(
            snakemake,
            **{"@type": "ComputerLanguage"},
            name="Snakemake",
            version=version("snakemake"),
            identifier={"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
            url={"@id": "https://snakemake.readthedocs.io"},
        )
        self.add(LICENCE, **{"@type": "CreativeWork"}, name="MIT License", identifier="MIT")
        for address in PROFILES:
            self.add(
                address,
                **{"@type": ["CreativeWork", "Profile"]},
                name=address,
                version=address.rsplit("/", 1)[1],
            )
        if licence:
            self.add(licence, **{"@type": "CreativeWork"}, name=licence)
        root = {
            "@id": "./",
            "@type": "Dataset",
            "name": f"crosslens: results of the study {study}",
            "description": "What a crosslens study made, every artifact with what it was made from: code, settings, inputs.",
            "datePublished": datetime.now(UTC).date().isoformat(),
            "license": {"@id": licence}
            if licence
            else "The results' licence was not said; the code's is MIT.",
            "conformsTo": [{"@id": address} for address in PROFILES],
            "mainEntity": {"@id": "Snakefile"},
            "hasPart": self.parts,
            "mentions": self.mentions,
        }
        descriptor = {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": [{"@id": SPEC}, {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"}],
        }
        graph = [descriptor, root, *self.entities.values()]
        told = self.out / "ro-crate-metadata.json"
        context = [f"{SPEC}/context", {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}]
        told.write_text(
            json.dumps({"@context": context, "@graph": graph}, ensure_ascii=False, indent=1), encoding="utf-8"
        )
        return told
