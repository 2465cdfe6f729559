"""What the schema cannot say of a study's settings: files that must be there, and sections that must fit each other.

Each check yields what it finds wrong; all of it is told together, before anything runs.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from crosslens.data.csv_table import is_blank
from crosslens.data.languages import language_of
from crosslens.data.minimal_pairs import differing
from crosslens.data.splits import assign_splits
from crosslens.errors import InputError, raise_all
from crosslens.models.families import family_of, model_types, overflow_of, registered_in
from crosslens.models.refused import quantised
from crosslens.sae.settings import Settings
from crosslens.stats.shuffles import LEAST_P
from crosslens.study.descriptions import description_faults
from crosslens.study.ignored import ignored_faults
from crosslens.study.model import Model
from crosslens.study.pretrained import pretrained_faults
from crosslens.study.settings import TRAINING, StudySettings, load_yaml
from crosslens.study.sources.base import Source
from crosslens.study.sweep import variants
from crosslens.study.words import nearest

Faults = Iterator[InputError]


def check(
    settings: StudySettings, model: Model, source: Source, *, folder: Path, data_needed: bool = True
) -> None:
    """Raise all faults in one InputError. folder: of the study files.

    `data_needed` false: captions and pictures need not be there yet.
    """
    checks = [
        lambda: _model(settings, model),
        lambda: _family(settings, model, source),
        lambda: _sites(settings, model),
        lambda: _languages(settings, source),
        lambda: _gender(settings, source),
        lambda: _patching(settings, source),
        lambda: _saes(settings),
        lambda: _steering(settings, source),
        lambda: _clamp(settings, model, source),
        lambda: _training(settings, model),
        lambda: ignored_faults(settings, source),
        lambda: _prompts(settings),
        lambda: _controls(settings, source),
        lambda: pretrained_faults(settings, model, files_needed=data_needed),
        lambda: _roles(settings, source),
        lambda: _shares(settings),
        lambda: description_faults(settings),
        lambda: _beside(settings, folder),
        source.faults,
    ]
    if data_needed:
        checks += [source.file_faults, lambda: _data(settings, source)]
        checks += [lambda: _concepts(settings, source), lambda: _inspected(settings, source)]
    found: list[InputError] = []
    for one in checks:
        try:
            found.extend(one())
        except InputError as error:  # of what a check reads
            found.append(error)
    raise_all(found)


def remarks(settings: StudySettings, source: Source) -> list[str]:
    """What a study that runs will not say, for all the time that it takes: told before it does."""
    if settings["steering"] is None or settings["gender"] is None or source.is_generation:
        return []
    # Not refused: each set is many passes of the model, and curves and frontiers need no test.
    draws, claims = settings["steering"]["random_sets"], number_of_claims(settings, source)
    few = _floor(settings, "steering.random_sets", draws, claims)
    return [f"{fault}. As it stands steering is described, and not tested." for fault in few]


def _model(settings: StudySettings, model: Model) -> Faults:
    chosen = settings["model"]
    if chosen["adapter"] is not None and not Path(chosen["adapter"]).is_file():
        yield settings.fault(
            "model.adapter", f"no file {chosen['adapter']}", "a Python file", "correct the path"
        )
    if chosen["device_map"] is not None and chosen["device"] != "auto":
        yield settings.fault(
            "model.device",
            f"{chosen['device']} together with model.device_map",
            "one of the two",
            "leave model.device at auto",
        )
    if model.folder is not None and not [*model.folder.glob("*.safetensors")]:
        yield settings.fault(
            "model.id",
            f"no weights in safetensors in {model.folder}",
            "a model folder",
            "save the model there with save_pretrained",
        )
    if model.gguf is not None and not model.gguf.is_file():
        yield settings.fault("model.id", f"no file {model.gguf}", "a GGUF file", "correct the path")
    elif model.gguf is not None and not model.config:
        yield settings.fault("model.id", f"no GGUF in {model.gguf}", "a GGUF file", "fetch it again")
    yield from model.id_faults()


def _family(settings: StudySettings, model: Model, source: Source) -> Faults:
    """As far as the model's configuration is known."""
    adapter, config = settings["model"]["adapter"], model.config
    if not config:
        return
    name = config.get("model_type", "")
    declared = registered_in(Path(adapter)) if adapter and Path(adapter).is_file() else []
    if (declared or not adapter) and name not in declared and family_of(config) is None:
        known = sorted({*model_types(), *declared})
        yield settings.fault(
            "model.id",
            f"a model of the family {name!r} (model_type in its config.json)",
            f"one of {', '.join(known)}{nearest(name, known)}",
            "name another model, or declare the family in a file of your own, model.adapter (see docs/extending.md)",
        )
    if refusal := quantised(config):
        yield settings.fault("model.id", *refusal)
    if settings["model"]["dtype"] == "float16" and (reason := overflow_of(config)):
        yield settings.fault(
            "model.dtype",
            f"float16 for {model.id}",
            "float32 or bfloat16",
            f"use bfloat16: float16 ends at 65,504, and {reason}",
        )
    if source.has_pictures and not adapter and family_of(config) and "vision_config" not in config:
        yield settings.fault(
            source.pictures_key,
            f"pictures, and {model.name}, which reads text alone",
            "a vision-language model, or texts without pictures",
            "name another model in model.id, or leave the pictures out",
        )


def _sites(settings: StudySettings, model: Model) -> Faults:
    for site in settings["sites"] if model.depth is not None else ():
        if int(site.split(".")[0]) >= model.depth:
            yield settings.fault(
                "sites",
                f"layer {site}",
                f"0 to {model.depth - 1}: {model.name} has {model.depth} blocks, counted from 0",
                "name a layer that the model has",
            )
    sites = settings["sites"]
    for key, named in (
        ("sae.sites", settings["sae"]["sites"]),
        ("tokens.sites", (settings["tokens"] or {}).get("sites")),
        ("steering.sites", (settings["steering"] or {}).get("sites")),
        ("clamp.sites", (settings["clamp"] or {}).get("sites")),
    ):
        if strange := sorted({*(named or ())} - {*sites}):
            yield settings.fault(key, strange, f"some of the study's sites, {sites}", "correct them")
        elif key in ("steering.sites", "clamp.sites") and (
            bare := sorted({*(named or ())} - _read_saes(settings).keys())
        ):
            yield settings.fault(
                key,
                f"{bare}, where no SAE is",
                f"some of {[*_read_saes(settings)]}",
                "correct them, or sae.sites",
            )


def _read_saes(settings: StudySettings) -> dict[str, list[str]]:
    """Site -> what its SAEs are called."""
    own = settings["sae"]
    found = {site: [*own["corpora"]] for site in own["sites"] or settings["sites"]}
    for name, sources in own["pretrained"].items():
        for site in sources:
            found.setdefault(site, []).append(name)
    return found


def _languages(settings: StudySettings, source: Source) -> Faults:
    languages = settings["languages"]
    if source.languages and (other := [name for name in languages if name not in source.languages]):
        yield settings.fault(
            "languages",
            ", ".join(map(repr, other)),
            f"some of {', '.join(source.languages)}, in which source.{source.name} has texts",
            "take the language out, or give your own captions (source.captions)",
        )
    for language in languages if not source.is_generation else ():
        if language not in settings["prompts"]:
            yield settings.fault(
                "prompts", f"no prompt for {language!r}", "one per language", f"add `{language}: …`"
            )
    seen: set[frozenset[str]] = set()
    for pair in settings["pairs"] or ():
        if strange := sorted({*pair} - {*languages}):
            yield settings.fault(
                "pairs", ", ".join(map(repr, strange)), f"two of {languages}", "remove it or add the language"
            )
        elif frozenset(pair) in seen:
            yield settings.fault("pairs", f"{pair} a second time", "each two languages once", "remove it")
        seen.add(frozenset(pair))
    for key in ("prompts", "lexicons"):
        for language in sorted(settings[key].keys() - set(languages)):
            yield settings.fault(key, f"{language!r}", f"one of {languages}", "remove it or add the language")


def _patching(settings: StudySettings, source: Source) -> Faults:
    """Runs that differ in gender alone: sentences in two genders, or the same words of both behind pictures."""
    chosen = settings["patching"]
    if chosen is None or source.tagged is not None:
        return
    words, languages = chosen["words"], settings["languages"]
    if not source.has_pictures or settings["gender"] is None:
        yield settings.fault(
            "patching",
            "neither pictures nor sentences in two genders, or no gender",
            "runs of the model that differ in gender alone",
            "leave patching out, or name a source of such",
        )
    for language in [*languages, *(words.keys() - {*languages})]:
        if (language in words) != (language in languages):
            yield settings.fault(
                "patching.words",
                f"{'words of' if language in words else 'no words of'} {language!r}",
                f"a text of a woman and one of a man for each of {languages}",
                "add the language, or take it out",
            )
        else:
            differing(words[language], f"{settings.path}: patching.words.{language}")


def _gender(settings: StudySettings, source: Source) -> Faults:
    """Lexicons, and what can be said at the level that is asked for."""
    chosen, lexicons = settings["gender"], settings["lexicons"]
    if chosen is None or source.is_generation:
        return
    for language, lexicon in lexicons.items():
        yield from _lexicon(settings, language, Path(lexicon))
    for language in settings["languages"] if lexicons else ():
        if language not in lexicons:
            yield settings.fault(
                "lexicons",
                f"no lexicon for {language!r}",
                "one for each language, or its gendered words would not be masked",
                f"add `{language}: …` (resources/lexicons has some), or ask for no gender: `gender: null`",
            )
    claims = number_of_claims(settings, source)
    # Two-sided: correlations and cosines of two languages can be below their null too.
    for name in ("permutations", "transfer_permutations"):
        yield from _floor(settings, f"gender.{name}", chosen[name], claims, tails=2)
    if claims * LEAST_P > chosen["alpha"] + 1e-12:
        yield settings.fault(
            "gender.alpha",
            f"{chosen['alpha']:g}",
            f"at least {claims * LEAST_P:.3g}: the shuffles whose number is no setting give no p below {LEAST_P:g}, and each of "
            f"the {claims} claims of the page is corrected for the others",
            "raise gender.alpha",
        )
    silent = [name for name in settings["languages"] if settings["prompts"].get(name) == ""]
    if "prompt" in chosen["conditions"] and silent:
        yield settings.fault(
            "gender.conditions",
            f"prompt, and no prompt in {', '.join(silent)}",
            "conditions whose tokens there are",
            "set gender.conditions to [caption], or give prompts",
        )
    given = [name for name in chosen["conditions"] if name != "generated"]
    if "generated" in chosen["conditions"] and not source.has_pictures:
        yield settings.fault(
            "gender.conditions",
            "generated, and no pictures",
            "pictures that the model captions: to a prompt alone it always answers the same",
            "take the condition out",
        )
    if not given:
        yield settings.fault(
            "gender.conditions", "generated alone", "one of prompt and caption beside it", "name one"
        )
    for name in given:
        for key in ("activations", "sae"):
            if name not in (roles := settings[key]["roles"]):
                yield settings.fault(
                    "gender.conditions",
                    name,
                    f"conditions among the roles of {key}.roles, {roles}",
                    f"add the role {name} there, or take the condition out",
                )


def _floor(settings: StudySettings, key: str, draws: int, claims: int, tails: int = 1) -> Faults:
    """So few draws of a null that no p of it can carry a claim beside the others."""
    alpha = settings["gender"]["alpha"]
    needed = math.ceil(round(tails * claims / alpha - 1, 9))
    if draws < needed:
        test = "a two-sided test" if tails == 2 else "a test"
        yield settings.fault(
            key,
            f"{draws}, whose smallest {'two-sided ' if tails == 2 else ''}p is {tails}/{draws + 1}",
            f"at least {needed}: with fewer {test} alone cannot carry a claim at gender.alpha "
            f"{alpha:g}, as each of the {claims} claims of the page is corrected for the others",
            "draw more often, or raise gender.alpha",
        )


def number_of_claims(settings: StudySettings, source: Source) -> int:
    """How many claims the page of a study with gender tests at most; see crosslens.summary.claims.

    Gendered features, probes and specialists; of sentences in two genders what the model goes on with; of several languages
    agreement, transfer, directions, translations and CKA, with pictures what captions find beyond these, in an SAE of all
    what is shared and what specific, and in those of two languages what matches and what effects agree; of pictures that
    the model captions tilt and differences; labels; steering.
    """
    several, pictures = bool(settings.pairs), source.has_pictures
    chosen = settings["sae"]
    own = any({*pair} <= {*chosen["corpora"]} for pair in settings.pairs)
    of_all = "joint" in chosen["corpora"] or bool(chosen["pretrained"])
    each = 2 + (settings["causal"] is not None)
    across = 5 + pictures + each * (of_all + own)
    alone = 3 + (source.tagged is not None) + (settings["describe"] is not None)
    alone += settings["steering"] is not None
    return alone + several * across + 2 * (pictures and bool(settings["lexicons"]))


def _steering(settings: StudySettings, source: Source) -> Faults:
    """Something to steer, and by what."""
    chosen = settings["steering"]
    if chosen is None:
        return
    pictured = source.has_pictures and bool(settings["lexicons"])
    if settings["gender"] is None or not (pictured or source.tagged is not None):
        yield settings.fault(
            "steering",
            "a study without gendered alternatives: neither pictures with lexicons nor sentences in two genders",
            "gender, and one of the two",
            "give source.captions with pictures and lexicons, or source.mt_geneval, or set steering to null",
        )
        return
    of_all = "joint" in settings["sae"]["corpora"] or bool(settings["sae"]["pretrained"])
    if not of_all or len(settings["languages"]) < 2:
        yield settings.fault(
            "steering",
            "no SAE of all of two languages or more",
            "the features of one SAE, in which an arm of one language can be applied in another",
            "add joint to sae.corpora, or set steering to null",
        )
    condition = chosen["condition"]
    given = [name for name in settings["gender"]["conditions"] if name in ("prompt", "caption")]
    if condition not in given if condition is not None else not given:
        yield settings.fault(
            "steering.condition",
            condition or "none of what is given",
            f"prompt or caption, and among gender.conditions, {settings['gender']['conditions']}",
            "correct it, or add the condition there",
        )
    for key in ("words", "ask"):
        for language in sorted(chosen[key].keys() - {*settings["languages"]}):
            yield settings.fault(
                f"steering.{key}", f"{language!r}", f"one of {settings['languages']}", "remove it"
            )


def _clamp(settings: StudySettings, model: Model, source: Source) -> Faults:
    """Something that the model writes, and features that its SAEs have, where these are trained here."""
    chosen, sae = settings["clamp"], settings["sae"]
    if chosen is None:
        return
    width = sae["d_sae"] or (model.known_width and round(sae["expansion"] * model.known_width))
    beyond = [feature for feature in chosen["features"] if width and feature >= width]
    if beyond and not sae["pretrained"]:
        yield settings.fault(
            "clamp.features",
            f"feature {beyond[0]}",
            f"0 to {width - 1}: the SAEs have {width} features",
            "take ids from the rankings of the SAE that is clamped",
        )
    chosen_saes = [
        f"{name} at {site}"
        for site, names in _read_saes(settings).items()
        for name in names
        if not chosen["sites"] or site in chosen["sites"]
    ]
    if chosen["features"] and len(chosen_saes) > 1:
        yield settings.fault(
            "clamp.features",
            f"features of one SAE, and {len(chosen_saes)} that are clamped: {', '.join(chosen_saes)}",
            "ids of the SAE that they were read from: in another the same number is another feature",
            "name its site in clamp.sites and its corpus alone in sae.corpora, or no features, which takes one of each SAE",
        )
    if not source.is_generation:
        yield settings.fault(
            "clamp",
            f"texts that are given (source.{source.name})",
            "prompts that the model answers",
            "give source.prompts, or set clamp to null; `steering` edits captions of given pictures",
        )


def _lexicon(settings: StudySettings, language: str, file: Path) -> Faults:
    if not file.is_file():
        yield settings.fault(f"lexicons.{language}", f"no file {file}", "a lexicon", "correct the path")
        return
    document = load_yaml(file)
    found = document if isinstance(document, dict) else {}
    if found.get("kind") != "gender_lexicon" or found.get("language") != language:
        yield settings.fault(
            f"lexicons.{language}",
            f"{file} of kind {found.get('kind')!r} and language {found.get('language')!r}",
            f"a gender_lexicon of {language!r}",
            "name the lexicon of this language (resources/lexicons has some)",
        )


def _saes(settings: StudySettings) -> Faults:
    chosen, languages = settings["sae"], settings["languages"]
    for corpus in chosen["corpora"]:
        if corpus != "joint" and corpus not in languages:
            yield settings.fault(
                "sae.corpora",
                f"{corpus!r}",
                f"joint or one of {languages}{nearest(corpus, ['joint', *languages])}",
                "correct it",
            )
    if not chosen["corpora"] and not chosen["pretrained"]:
        yield settings.fault("sae.corpora", "none", "a corpus, or a pretrained SAE", "name one")
    if settings["sweep"] and not chosen["corpora"]:
        yield settings.fault("sweep", "a sweep", "sae.corpora, what it trains on", "name a corpus")


def _training(settings: StudySettings, model: Model) -> Faults:
    """Settings of training that do not fit each other or the model, of the study's own SAEs and of a sweep's."""
    own = {name: value for name, value in settings["sae"].items() if name in TRAINING}
    swept = variants(settings["sweep"], settings["sae"])
    for name, changed in {"": {}, **swept}.items() if settings["sae"]["corpora"] else ():
        try:
            # Where the width is not known, the number of features is only if it is given.
            Settings(**own | changed).resolve(d_model=model.known_width or 1 << 30, tokens=1)
        except InputError as error:
            key = str(error.where)
            place = f"sweep.{key.removeprefix('sae.')}" if key.removeprefix("sae.") in changed else key
            found = f"{error.found} ({name})" if name else error.found
            yield settings.fault(place, found, error.expected, error.mend)


def _prompts(settings: StudySettings) -> Faults:
    """A prompt that looks like none is one: its tokens stand before every text."""
    for language, prompt in settings["prompts"].items():
        if prompt and all(map(is_blank, prompt)):
            yield settings.fault(
                f"prompts.{language}", f"{prompt!r}, which is blank", 'a prompt, or "" for none', "correct it"
            )


def _controls(settings: StudySettings, source: Source) -> Faults:
    """What cannot be taken away from this study."""
    asked = {"controls": settings["controls"], "text": [settings["text"]] if settings["text"] else []}
    for key, names in asked.items():
        if "romanised" in names and not any(
            language_of(language).romanisation for language in settings["languages"]
        ):
            yield settings.fault(
                key,
                f"romanised, and the languages {', '.join(settings['languages'])}",
                "a language whose file has a table of Latin letters (ar)",
                "take it out, or give the language one (docs/extending.md)",
            )
        if (of_texts := sorted({"romanised", "shuffled"} & {*names})) and source.is_generation:
            yield settings.fault(
                key, ", ".join(of_texts), "given texts: here the model writes them", "take it out"
            )
    if (settings["model"]["random_init"] is not None or "random_init" in settings["controls"]) and settings[
        "model"
    ]["device_map"]:
        yield settings.fault(
            "model.device_map", "a device map", "none where the weights are drawn anew", "leave it out"
        )
    if "frozen_decoder" in settings["controls"] and not settings["sae"]["corpora"]:
        yield settings.fault(
            "controls", "frozen_decoder", "SAEs that are trained (sae.corpora)", "take it out"
        )


def _roles(settings: StudySettings, source: Source) -> Faults:
    stored = set(settings["activations"]["roles"])
    used = {"sae.roles": settings["sae"]["roles"]}
    if settings["compare"]["with"]:
        used["compare.roles"] = settings["compare"]["roles"]
    for key, roles in used.items():
        if missing := set(roles) - stored:
            yield settings.fault(
                key, sorted(missing), f"roles that are stored: {sorted(stored)}", "add to activations.roles"
            )
    there = {
        "image": source.has_pictures,
        "prompt": source.is_generation or any(settings["prompts"].values()),
    }
    for key in ("activations.roles", "sae.roles"):
        roles = settings[key.split(".")[0]]["roles"]
        if not [role for role in roles if there.get(role, True)]:
            yield settings.fault(
                key,
                roles,
                "a role of which there are tokens in this study",
                "add caption, or give what is missing",
            )


def _shares(settings: StudySettings) -> Faults:
    total = sum(settings["splits"][name] for name in ("train", "select", "test"))
    if abs(total - 1) > 1e-6:
        yield settings.fault("splits", f"shares that add up to {total:g}", "1", "correct the shares")


def _beside(settings: StudySettings, folder: Path) -> Faults:
    """Other studies that are named."""
    known = sorted({path.stem for path in folder.glob("*.yaml")} - {settings.path.stem})
    for name in settings["compare"]["with"]:
        if name not in known:
            found = "this study itself" if name == settings.path.stem else f"no file {folder / name}.yaml"
            yield settings.fault(
                "compare.with",
                found,
                f"another study: {', '.join(known) or 'there is none'}{nearest(name, known)}",
                "correct the name",
            )


def _data(settings: StudySettings, source: Source) -> Faults:
    """The source is read, where it is there."""
    splits = dict(settings["splits"])
    seed = splits.pop("seed")
    if source.shares:
        for name in settings.given_in("splits", *splits):
            yield settings.fault(
                f"splits.{name}",
                f"{splits[name]:g}, and a source that comes divided, so that nothing reads it",
                "one of the two",
                "take it out",
            )
    # Few prompts are dealt in thirds, whatever the shares.
    read = not source.is_generation and not [*source.file_faults()]
    units = [*source.units] if read else []
    if abs(sum(splits.values()) - 1) > 1e-6 or not units or source.shares:
        return
    try:
        assign_splits(dict.fromkeys(units), splits, seed)
    except InputError as error:
        yield settings.fault("splits", error.found, error.expected, error.mend)


def _sample_ids(settings: StudySettings, source: Source) -> list[str]:
    """Those of the source, as far as it is there; none where they are not known before a job."""
    if source.is_generation or [*source.file_faults()]:
        return []
    texts = source.texts(settings["languages"][0])
    return [] if texts is None else [text.sample_id for text in texts.rows]


def _inspected(settings: StudySettings, source: Source) -> Faults:
    """Samples whose tokens are looked at are there, and there is something to look at."""
    if settings["tokens"] is None:
        return
    named = settings["tokens"]["samples"]
    if not named and not settings["tokens"]["texts"]:
        yield settings.fault(
            "tokens", "neither texts nor samples", "some", "name some, or set tokens to null"
        )
    known = _sample_ids(settings, source) if named else []
    if known and (absent := [sample_id for sample_id in named if sample_id not in {*known}]):
        yield settings.fault(
            "tokens.samples",
            f"{absent[0]} ({len(absent)} such)",
            f"sample_ids of the source{nearest(absent[0], sorted(known))}, such as {known[0]}",
            "correct the list",
        )


def _concepts(settings: StudySettings, source: Source) -> Faults:
    """Lists of images are of images that there are, as far as the source is there."""
    if not settings["concepts"]:
        return
    known = {sample_id.rpartition("#")[0] for sample_id in _sample_ids(settings, source)}
    if not known:
        return
    for name, listed in settings["concepts"].items():
        if absent := [image_id for image_id in listed if image_id not in known]:
            yield settings.fault(
                f"concepts.{name}",
                f"{absent[0]} ({len(absent)} such)",
                f"image_ids of the source{nearest(absent[0], sorted(known))}",
                "correct the list",
            )
        elif known <= {*listed}:
            yield settings.fault(
                f"concepts.{name}",
                f"all {len(known)} of the source",
                "some of them: what is listed is told from the rest",
                "leave some out",
            )
