"""A study's settings: read, validated, completed with defaults. Imports nothing heavy: every job's start parses it."""

import itertools
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from crosslens.data.captions import read_rows
from crosslens.errors import InputError
from crosslens.models.families import gguf_config
from crosslens.models.packages import PACKAGED, PackagedModel
from crosslens.sae.settings import unread
from crosslens.sources import plan
from crosslens.store.digests import FileDigests, digest

# What transformers reads of a model folder; cards and other words do not decide numbers.
COMMIT = re.compile(r"[0-9a-f]{40}")
MODEL_FILES = re.compile(
    r".*\.(safetensors|model|jinja)|(config|generation_config|tokenizer.*|.*processor_config|special_tokens_map"
    r"|added_tokens|vocab|chat_template|.*\.safetensors\.index)\.json|merges\.txt"
)

ARCHITECTURES = Path("resources/architectures")
"""Sizes of models that are not on this machine, `owner--name.json`."""


def _with_defaults(base: type) -> type:
    """A jsonschema validator class that fills in `default` before it validates."""
    validate_properties = base.VALIDATORS["properties"]

    def fill(validator, properties, instance, schema):
        if isinstance(instance, dict):
            for name, subschema in properties.items():
                if "default" in subschema:
                    # A copy: a default that is an object is filled in place for this study alone.
                    instance.setdefault(name, json.loads(json.dumps(subschema["default"])))
        yield from validate_properties(validator, properties, instance, schema)

    return jsonschema.validators.extend(base, {"properties": fill})


Validator = _with_defaults(jsonschema.Draft202012Validator)


def _explain(path: Path, error: jsonschema.ValidationError) -> InputError:
    place = ".".join(str(part) for part in error.absolute_path)
    where = f"{path}, key {place}" if place else str(path)
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(set(error.instance) - set(known))
        return InputError(
            where,
            found=f"unknown key {', '.join(unknown)}",
            expected=f"one of {', '.join(known)}",
            mend="correct its spelling or remove it; config/README.md documents every key",
        )
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return InputError(
            where,
            found=f"no key {', '.join(missing)}",
            expected="it to be there",
            mend="add it; see config/README.md",
        )
    if error.validator == "oneOf" and all("required" in option for option in error.validator_value):
        options = [name for option in error.validator_value for name in option["required"]]
        named = [name for name in options if name in error.instance]
        return InputError(
            where,
            found=" and ".join(named) or "neither",
            expected=f"exactly one of {' or '.join(options)}",
            mend="name one",
        )
    hint = "change the value; config/README.md documents every key"
    if (
        error.validator == "type"
        and isinstance(error.instance, str)
        and "number" in str(error.validator_value)
    ):
        hint = "write it as a number with a point (1.0e-3): YAML reads 1e-3 as text"
    if error.validator in ("type", "pattern") and isinstance(error.instance, bool | int | float):
        hint = 'quote it: languages and sites are strings ("no", "14")'
    expected = f"{error.validator} {error.validator_value}"
    return InputError(where, found=repr(error.instance), expected=expected, mend=hint)


def validate(document: Any, path: Path, schema: Path) -> None:
    """Fill in the defaults of the JSON schema at `schema` and check `document`, which errors call `path`."""
    error = jsonschema.exceptions.best_match(
        Validator(yaml.safe_load(schema.read_text(encoding="utf-8"))).iter_errors(document)
    )
    if error is not None:
        raise _explain(path, error)


def load_yaml(path: Path, schema: Path) -> dict[str, Any]:
    """The YAML document at `path`, validated by the JSON schema at `schema` and completed with its defaults."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(
            path, found=f"no YAML ({error})", expected="a YAML document", mend="correct the file"
        ) from error
    validate(document, path, schema)
    return document


class Study:
    """One study: its settings, and what they say about parts, corpora and the identity of model and data."""

    def __init__(
        self, name: str, folder: Path, schema: Path, digests: FileDigests, *, data_needed: bool = True
    ):
        """`data_needed` false: captions and pictures need not be there yet."""
        self.name, self.path, self.digests = name, folder / f"{name}.yaml", digests
        if not self.path.is_file():
            known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml"))) or "none"
            raise InputError(
                f"study {name!r}",
                found=f"no file {self.path}",
                expected=f"one of the defined studies: {known}",
                mend="correct the name in the target or in `run:` of config/config.yaml",
            )
        self.settings = load_yaml(self.path, schema)
        self.languages: list[str] = self.settings["languages"]
        self.sites: list[str] = self.settings["sites"]
        self.corpora: list[str] = self.settings["sae"]["corpora"]
        self.seeds: list[str] = [str(seed) for seed in self.settings["sae"]["seeds"]]
        self.sae_sites: list[str] = self.settings["sae"]["sites"] or self.sites
        self.pretrained: dict[str, dict[str, str]] = self.settings["sae"]["pretrained"]
        self._check(data_needed)

    def corpora_at(self, site: str) -> list[str]:
        """What SAEs of one site are called: the corpora that are trained on, then the pretrained ones."""
        trained = self.corpora if site in self.sae_sites else []
        return [*trained, *(name for name, sources in self.pretrained.items() if site in sources)]

    @cached_property
    def variants(self) -> dict[str, dict[str, Any]]:
        """The settings of `sweep` in every combination, by a name made of them.

        Settings that an architecture ignores are left out, and so is the combination that the study's own SAE has.
        """
        swept = self.settings["sweep"]
        found: dict[str, dict[str, Any]] = {}
        for values in itertools.product(*swept.values()) if swept else ():
            chosen = dict(zip(swept, values, strict=True))
            architecture = chosen.get("architecture", self.settings["sae"]["architecture"])
            for name in unread(architecture):
                chosen.pop(name, None)
            if chosen.items() <= self.settings["sae"].items():
                continue
            words = [str(v) if k == "architecture" else f"{k}_{v}" for k, v in chosen.items()]
            found["-".join(words) or architecture] = chosen
        return found

    def fail(self, key: str, found: object, expected: object, mend: str) -> None:
        """Raise InputError for one key of the study's file."""
        raise InputError(f"{self.path}, key {key}", found=found, expected=expected, mend=mend)

    def _check(self, data_needed: bool) -> None:
        adapter = self.settings["model"]["adapter"]
        if adapter is not None and not Path(adapter).is_file():
            self.fail("model.adapter", f"no file {adapter}", "a Python file", "correct the path")
        if self.model_folder is not None and not [*self.model_folder.glob("*.safetensors")]:
            self.fail(
                "model.id",
                f"no weights in safetensors in {self.model_folder}",
                "a model folder",
                "save the model there with save_pretrained",
            )
        if self._gguf is not None and not self._gguf.is_file():
            self.fail("model.id", f"no file {self._gguf}", "a GGUF file", "correct the path")
        if self.settings["model"]["id"].startswith("package:") and self.model_name not in PACKAGED:
            known = ", ".join(f"package:{name}" for name in PACKAGED)
            self.fail("model.id", self.settings["model"]["id"], known, "name one of these")
        for language in self.languages if not self.is_generation else ():
            if language not in self.settings["prompts"]:
                self.fail(
                    "prompts", f"no prompt for {language!r}", "one per language", f"add `{language}: …`"
                )
        for key in ("prompts", "lexicons"):
            for language in sorted(self.settings[key].keys() - set(self.languages)):
                self.fail(key, f"{language!r}", f"one of {self.languages}", "remove it or add the language")
        for language, lexicon in self.settings["lexicons"].items():
            if not Path(lexicon).is_file():
                self.fail(f"lexicons.{language}", f"no file {lexicon}", "a lexicon", "correct the path")
        for corpus in self.corpora:
            if corpus != "joint" and corpus not in self.languages:
                self.fail("sae.corpora", f"{corpus!r}", f"joint or one of {self.languages}", "correct it")
        if not self.corpora and not self.pretrained:
            self.fail("sae.corpora", "none", "a corpus, or a pretrained SAE", "name one")
        for name, sources in self.pretrained.items():
            key = f"sae.pretrained.{name}"
            if name == "joint" or name in self.languages:
                self.fail(key, f"the name of a corpus, {name!r}", "a name of its own", "rename it")
            for site, source in sources.items():
                if site not in self.sites:
                    self.fail(key, f"site {site!r}", f"sites of the study, {self.sites}", "correct the site")
                if not source.startswith("hf:") and not Path(source).exists():
                    self.fail(
                        f"{key}.{site}",
                        f"nothing at {source}",
                        "a folder or file, or hf:owner/name/folder",
                        "correct the path",
                    )
        if strange := sorted(set(self.sae_sites) - set(self.sites)):
            self.fail("sae.sites", strange, f"some of the study's sites, {self.sites}", "correct them")
        if missing := [site for site in self.sae_sites if not self.corpora_at(site)]:
            self.fail(
                "sae.pretrained",
                f"no SAE for {missing}",
                "one for each site of sae.sites",
                "name one, or a corpus to train on",
            )
        if self.settings["sweep"] and not self.corpora:
            self.fail("sweep", "a sweep", "sae.corpora, what it trains on", "name a corpus")
        stored = set(self.settings["activations"]["roles"])
        if missing := set(self.settings["sae"]["roles"]) - stored:
            self.fail(
                "sae.roles",
                sorted(missing),
                f"roles that are stored: {sorted(stored)}",
                "add to activations.roles",
            )
        total = sum(self.settings["splits"][name] for name in ("train", "select", "test"))
        if abs(total - 1) > 1e-6:
            self.fail("splits", f"shares that add up to {total:g}", "1", "correct the shares")
        if self.depth is not None:
            for site in self.sites:
                if int(site.split(".")[0]) >= self.depth:
                    self.fail(
                        "sites",
                        f"layer {site}",
                        f"0 to {self.depth - 1}: {self.model_name} has {self.depth} blocks, counted from 0",
                        "name a layer that the model has",
                    )
        for key in ("captions", "images"):
            value = self.settings["source"].get(key)
            if data_needed and value is not None and not Path(value).exists():
                self.fail(f"source.{key}", f"nothing at {value}", "your file or folder", "correct the path")
        if self.is_generation:
            if len(self.languages) != 1:
                self.fail("languages", self.languages, "the one language of the prompts", "name one")
            for key in ("activations", "sae"):
                if "caption" in (roles := self.settings[key]["roles"]):
                    self.fail(f"{key}.roles", roles, "generated, for texts that the model writes", "name it")
        elif "generated" in stored:
            self.fail(
                "activations.roles",
                "generated",
                "roles of given texts",
                "give `source.prompts`, or remove it",
            )

    @property
    def is_planted(self) -> bool:
        """True for the embedded study."""
        return "planted" in self.settings["source"]

    @property
    def is_generation(self) -> bool:
        """True where the texts are the model's own answers to `source.prompts`."""
        return "prompts" in self.settings["source"]

    @property
    def has_gender(self) -> bool:
        """False where no gender is asked for: `gender: null`, and texts that answer prompts."""
        return self.settings["gender"] is not None and not self.is_generation

    @property
    def must_be_prepared(self) -> bool:
        """True for a model that a rule makes first, of a GGUF file or a package."""
        return self.settings["model"]["id"].startswith("package:") or self._gguf is not None

    @property
    def _gguf(self) -> Path | None:
        file = Path(self.settings["model"]["id"])
        return file if file.suffix == ".gguf" else None

    @property
    def model_folder(self) -> Path | None:
        """The model's folder if it is a local one."""
        folder = Path(self.settings["model"]["id"])
        return folder if folder.is_dir() else None

    @property
    def model_name(self) -> str:
        """What artifacts call the model: the hub id, the package's, or the last part of a local path."""
        if self._gguf is not None:
            return self._gguf.stem
        return self.model_folder.name if self.model_folder else self.settings["model"]["id"].split(":")[-1]

    @property
    def _package(self) -> PackagedModel:
        return PACKAGED[self.model_name]

    @cached_property
    def prepared_from(self) -> str:
        """sha256 of the GGUF file that the model is made of."""
        if self._gguf is None:
            return self._package.sha256
        return self.digests(self._gguf)

    @cached_property
    def model_config(self) -> dict[str, Any]:
        """The model's config.json; of a hub model that of `resources/architectures`, empty where that has none.

        A shipped one has one entry more, `parameters`.
        """
        shipped = ARCHITECTURES / f"{self.settings['model']['id'].split(':')[-1].replace('/', '--')}.json"
        if self.settings["model"]["id"].startswith("package:"):
            return self._package.config
        if self._gguf is not None:
            return gguf_config(self._gguf)
        if self.model_folder is None:
            return json.loads(shipped.read_text(encoding="utf-8")) if shipped.is_file() else {}
        file = self.model_folder / "config.json"
        if not file.is_file():
            self.fail(
                "model.id", f"no config.json in {self.model_folder}", "a model folder", "correct the path"
            )
        return json.loads(file.read_text(encoding="utf-8"))

    @property
    def _text_config(self) -> dict[str, Any]:
        return self.model_config.get("text_config", self.model_config)

    @property
    def depth(self) -> int | None:
        """The number of blocks, where the model's sizes are known."""
        return self._text_config.get("num_hidden_layers")

    @property
    def width(self) -> int:
        """d_model, where the model's sizes are known; else 4096, to ask for enough memory."""
        return self._text_config.get("hidden_size", 4096)

    @cached_property
    def model_identity(self) -> dict[str, Any]:
        """What decides the model's numbers: name, revision or digest of its files, dtype, attention."""
        model = self.settings["model"]
        identity = {"name": self.model_name, "dtype": model["dtype"], "attention": model["attention"]}
        if model["adapter"] is not None:
            identity["adapter"] = self.digests(Path(model["adapter"]))
        if self.must_be_prepared:
            return {**identity, "gguf": self.prepared_from}
        if self.model_folder is None:
            if not COMMIT.fullmatch(model["revision"] or ""):
                self.fail(
                    "model.revision",
                    f"{model['revision']!r} for {model['id']}",
                    "the commit of the weights: what is computed from others would pass for the same",
                    f"pin it, in quotes: it stands on the model's page, and `hf models info {model['id']}` prints it "
                    "as sha",
                )
            return {**identity, "revision": model["revision"]}
        files = sorted(path for path in self.model_folder.iterdir() if MODEL_FILES.fullmatch(path.name))
        return {**identity, "weights": digest([[path.name, self.digests(path)] for path in files])}

    def pretrained_identity(self, corpus: str, site: str) -> Any:
        """What decides a pretrained SAE: its place on the hub, or the digests of its files.

        Of a single file also those of the JSON files beside it, which may be its configuration.
        """
        source = self.pretrained[corpus][site]
        if source.startswith("hf:"):
            return source
        path = Path(source)
        folder, found = (
            (path.parent, {path, *path.parent.glob("*.json")}) if path.is_file() else (path, path.rglob("*"))
        )
        files = sorted(file for file in found if file.is_file())
        return digest([[file.relative_to(folder).as_posix(), self.digests(file)] for file in files])

    @property
    def images(self) -> Path | None:
        """The user's picture folder."""
        images = self.settings["source"].get("images")
        return Path(images) if images else None

    @cached_property
    def _rows(self) -> list:
        source = self.settings["source"]
        return read_rows(Path(source["captions"]), languages=self.languages, columns=source["columns"])

    @cached_property
    def _image_digests(self) -> dict[str, str]:
        if self.images is None:
            return {}
        return {path.name: self.digests(path) for path in sorted(self.images.iterdir()) if path.is_file()}

    @property
    def names(self) -> dict[str, Any] | None:
        """The settings of a source that is collected from packages (see crosslens.sources.plan)."""
        return self.settings["source"].get("names")

    @property
    def draws_pictures(self) -> bool:
        """True where a rule draws the pictures: the embedded study, and emoji that are drawn."""
        return self.is_planted or bool(self.names and self.names["emoji"] and self.names["emoji"]["pictures"])

    @property
    def has_pictures(self) -> bool:
        """True where the model sees pictures: drawn ones or the user's."""
        return self.draws_pictures or self.images is not None

    @property
    def n_rows(self) -> int:
        """Rows of the caption table, or texts that are generated."""
        source = self.settings["source"]
        if self.is_planted:
            return source["planted"]["images"]
        if self.is_generation:
            return len(source["prompts"]) * self.settings["generation"]["samples"]
        return plan.row_count(self.names) if self.names else len(self._rows)

    @property
    def parts(self) -> list[str]:
        """Part numbers: blocks of `activations.part_rows` rows of the caption table."""
        return [f"{i:04d}" for i in range(-(-self.n_rows // self.settings["activations"]["part_rows"]))]

    def part_rows(self, part: str) -> tuple[int, int]:
        """The rows of a part, 1-based and inclusive, as the dataset's column `row` counts them."""
        size = self.settings["activations"]["part_rows"]
        return int(part) * size + 1, (int(part) + 1) * size

    @cached_property
    def source_identity(self) -> Any:
        """What decides the dataset: the digest of the caption file and of every picture, or what those are made from."""
        if self.is_planted:
            return None
        if self.names:
            return plan.identity(self.names, self.digests)
        return [self.digests(Path(self.settings["source"]["captions"])), sorted(self._image_digests.items())]

    def block_identity(self, part: str, language: str) -> Any:
        """What decides the samples of one part in one language, and nothing of any other part."""
        first, last = self.part_rows(part)
        if self.is_planted:
            recipe = self.settings["source"]["planted"]
            return ["planted", recipe["seed"], recipe["control"], first, min(last, recipe["images"])]
        if self.names:
            return plan.block_identity(self.names, first, last, self.digests)
        if self.is_generation:
            return [first, min(last, self.n_rows)]
        images = {
            Path(name).stem: sha256 for name, sha256 in self._image_digests.items()
        } | self._image_digests
        block = self._rows[first - 1 : last]
        return digest([[row.image_id, row.captions[language], images.get(row.image_id)] for row in block])
