"""The table of all artifacts and of the rules that make them, for the studies that are named."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from crosslens.artifacts.job_text import JobText
from crosslens.artifacts.kinds import At, Kind, Need, Wildcards, Work, wildcards_of
from crosslens.artifacts.members import members_of
from crosslens.artifacts.recipes import Recipes
from crosslens.errors import InputError
from crosslens.registry import member, names
from crosslens.study.study import Study

STAGES = "crosslens.artifacts.stages"


class Studies(dict[str, Study]):
    """Study name to Study, each read when it is first named."""

    def __init__(self, read: Callable[[str], Study], parts: Mapping[str, int] | None = None):
        """parts: how many to assume of a study, where its data need not be there."""
        self._read, self._assumed = read, parts or {}

    def __missing__(self, name: str) -> Study:
        self[name] = self._read(name)
        return self[name]

    def parts(self, name: str) -> list[str]:
        """The numbers of a study's parts."""
        if name in self._assumed:
            return [f"{i:04d}" for i in range(self._assumed[name])]
        return self[name].parts


class Table(Recipes):
    """Every kind and every rule, read from the files of `stages/`."""

    def __init__(self, studies: Studies):
        stages = [member(STAGES, name) for name in names(STAGES)]
        super().__init__([kind for stage in stages for kind in stage.KINDS], self.at, members_of)
        self.studies = studies
        self.works: dict[str, Work] = {work.rule: work for stage in stages for work in stage.WORK}

    def at(self, wildcards: Wildcards) -> At:
        """The place that the wildcards name."""
        return At(self, wildcards)

    @property
    def figures(self) -> list[str]:
        """The kinds that are pictures."""
        return [kind.name for kind in self.kinds.values() if any(kind.files.values())]

    def recorded(self, study: str) -> list[str]:
        """What the layers of a study gather, by what readers call it: SAEs, and all that goes into them."""
        return self._remember("recorded", "", {"study": study}, lambda: self._recorded(study))

    def _recorded(self, study: str) -> list[str]:
        gathered = [kind for kind, _ in self.at({"study": study}).into("layer")]
        return ["sae", *dict.fromkeys(self.kinds[kind].role or kind for kind in gathered)]

    def kinds_of(self, rule: str) -> list[Kind]:
        """What its jobs make."""
        return [kind for kind in self.kinds.values() if kind.by == rule]

    def per(self, rule: str) -> tuple[str, ...]:
        """The wildcards of its jobs, `study` first."""
        per = self.works[rule].per
        return wildcards_of(self.kinds_of(rule)[0].path) if per is None else ("study", *per)

    def makes(self, rule: str, wildcards: Wildcards) -> dict[str, Need]:
        """What one job makes, by what it calls it."""
        place, per = self.at(wildcards), self.per(rule)
        found = {}
        for kind in self.kinds_of(rule):
            own = {name: wildcards[name] for name in wildcards_of(kind.path) if name in per}
            alone = self.works[rule].per is None
            for need in [(kind.name, own)] if alone else place.every(kind.name, **own):
                more = [value for name, value in need[1].items() if name not in per]
                called = kind.called.format(**need[1]) or "/".join([kind.role or kind.name, *more])
                found[called] = need
        return found

    def check(self, kind: str, wildcards: Wildcards) -> None:
        """Raise InputError for an artifact that no job of the study makes."""
        place, study = self.at(wildcards), {"study": wildcards["study"]}
        paths = self._remember("paths", kind, study, lambda: {*map(place.path, place.every(kind))})
        if place.path((kind, wildcards)) not in paths:
            known = sorted(paths)
            raise InputError(
                place.path((kind, wildcards)),
                found=f"no artifact of the study {wildcards['study']}",
                expected=f"one of {', '.join(known[:8])}" if known else "an artifact that it has",
                mend="correct the path, or the study's settings",
            )

    def inputs(self, rule: str, wildcards: Wildcards) -> list[Need]:
        """What one job reads, for whichever of its artifacts; some may be made from others of it."""
        return self.reads(*self.makes(rule, wildcards).values())

    def needed(self, rule: str, wildcards: Wildcards) -> list[Need]:
        """What must be there before it starts."""
        makes = list(self.makes(rule, wildcards).values())
        return [need for need in self.inputs(rule, wildcards) if need not in makes]

    def job(self, rule: str, wildcards: Wildcards) -> JobText:
        """What a script is told: the recipes to make, their inputs and the place, as canonical JSON (see store.job)."""
        place, makes = self.at(wildcards), self.makes(rule, wildcards)
        artifacts = {
            name: {
                "recipe": self.describe(kind, w),
                "kind": self.kinds[kind].like or self.kinds[kind].role or kind,
                "suffix": Path(self.kinds[kind].path).suffix,
                "inputs": [self.key(*need) for need in self.reads((kind, w))],
            }
            for name, (kind, w) in makes.items()
        }
        files = {file for kind, w in makes.values() for file in self.kinds[kind].files_read(self.at(w))}
        inputs = [
            {
                "key": self.key(kind, w),
                "path": self.kinds[kind].path.format(**w),
                "files": list(self.kinds[kind].files),
                "kind": self.kinds[kind].role or kind,
                "wildcards": w,
            }
            for kind, w in self.inputs(rule, wildcards)
        ]
        document = {
            "artifacts": artifacts,
            "inputs": inputs,
            "files": {str(file): place.study.digests.taken[str(file.absolute())] for file in sorted(files)},
            "local": self.works[rule].local(place),
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        }
        return JobText(json.dumps(document, ensure_ascii=False))

    def megabytes(self, rule: str, wildcards: Wildcards, threads: int = 1) -> int:
        """What one job asks for."""
        memory = self.works[rule].memory
        return memory if isinstance(memory, int) else round(memory(self.at(wildcards), threads))

    def everything(self, study: str) -> list[Need]:
        """All artifacts that `snakemake` makes of a study where nothing is built yet, each after what it is made from.

        What a job makes beside what was asked for is made too, and what is read of other studies.
        """
        found: dict[tuple, Need | None] = {}

        def visit(need: Need) -> None:
            kind, wildcards = need
            if (mark := (kind, *sorted(wildcards.items()))) not in found:
                found[mark] = None
                for read in self.reads(need):
                    visit(read)
                del found[mark]  # behind what it is made from
                found[mark] = need
                for beside in self.makes(self.kinds[kind].by, wildcards).values():
                    visit(beside)

        for need in self.at({"study": study}).into("all"):
            visit(need)
        return [need for need in found.values() if need]

    def jobs(self, artifacts: Iterable[Need]) -> Counter[str]:
        """How many jobs of each rule make these artifacts, rules in the order of the artifacts."""
        rules = [(self.kinds[kind].by, wildcards) for kind, wildcards in artifacts]
        jobs = dict.fromkeys((rule, *(w[name] for name in self.per(rule))) for rule, w in rules)
        return Counter(rule for rule, *_ in jobs)
