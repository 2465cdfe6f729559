"""What the files beside an SAE's weights say of it, and whether a study may take it: without the weights and without torch,
so that a job and what is checked before any say the same."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from crosslens.errors import InputError
from crosslens.sae.exchange.hooks import KINDS, Place, place_of
from crosslens.sae.exchange.names import same_model
from crosslens.sae.layout import CONFIG, WEIGHTS, read_json_object

WEIGHT_FILES = (WEIGHTS, "sae.safetensors", "params.safetensors", "params.npz", "ae.pt")
CONFIG_FILES = (CONFIG, "config.json")
KNOWN = "an SAE of SAELens, sparsify, dictionary_learning or Gemma Scope, or one of ours"
Config = dict[str, Any]


class Said(NamedTuple):
    """None where the files do not say."""

    hook: str | None
    """What it reads, in the files' own words."""
    place: Place
    model: str | None = None
    transcoder: bool = False
    """Whether it writes to another site than it reads."""
    target: str | None = None
    """What a transcoder writes to, in our notation."""
    revision: str | None = None
    """Of the model: a commit, or a branch such as step1000 of Pythia."""
    width: int | None = None

    @property
    def site(self) -> str | None:
        """Where it is for sure."""
        return self.place.site

    @property
    def may_be(self) -> tuple[str, ...] | None:
        """Where it may be, if `hook` says no site for sure; none where no hook is said."""
        return self.place.may_be if self.hook else None


def text(config: Any, key: str) -> str | None:
    """config[key] in words; None where it says nothing. What is said in another form, such as a list of hooks, is said."""
    value = config.get(key) if isinstance(config, dict) else None
    return value if isinstance(value, str) else str(value) if value else None


def weights_file(path: Path) -> Path:
    """The file of weights at `path`, a folder or a file in one; InputError unless it is one."""
    if path.is_file() and path.name not in CONFIG_FILES:
        return path
    folder = path.parent if path.is_file() else path
    found = [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    if len(found) != 1:
        files = found or (sorted(folder.iterdir()) if folder.is_dir() else [])
        there = [file.name + ("" if file.exists() else " (a link to nothing)") for file in files]
        raise InputError(
            path,
            found=", ".join(there) or "nothing",
            expected=f"one of {', '.join(WEIGHT_FILES)}",
            mend="name the file of weights itself" if found else "name the folder of one SAE",
        )
    return found[0]


def config_file(weights: Path) -> Path | None:
    """The configuration of a file of weights."""
    # dictionary_learning keeps checkpoints one folder below their configuration
    below = weights.parent.parent if weights.parent.name == "checkpoints" else weights.parent
    return next((below / name for name in CONFIG_FILES if (below / name).is_file()), None)


def said_in(path: Path) -> Said | None:
    """Of the SAE at `path`, a folder or a file in one; None where there is but a file of weights.

    Raises InputError unless there are weights, and of a configuration that is none of a known tool.
    """
    weights = weights_file(path)
    file = config_file(weights)
    config = read_json_object(file) if file else {}
    for matches, say in (
        (is_saelens, lambda: of_saelens(config)),
        (is_dictionary_learning, lambda: of_dictionary_learning(config)),
        (is_sparsify, lambda: of_sparsify(config, weights)),
    ):
        if matches(config):
            return say()
    if weights.suffix == ".npz":
        return of_gemma_scope(weights)
    if config.get("architecture") == "jump_relu" or (file is None and weights.name == "params.safetensors"):
        return of_gemma_scope_2(config, weights)
    if file is None:
        return None
    raise InputError(
        file,
        found=f"configuration keys {sorted(config)}",
        expected=KNOWN,
        mend="name a folder with both the weights and their configuration",
    )


def refusals(
    said: Any, *, site: str, models: Sequence[str], revision: str | None
) -> Iterator[tuple[str, str, str]]:
    """(found, expected, mend) of each reason not to take an SAE for that of a site of a model.

    said: a Said, or a ForeignSAE, which has the same names. models: what the model is called, first by people.
    """
    may_be = said.may_be if said.site is None else (said.site,)
    if said.transcoder:
        yield (
            "a transcoder",
            "an SAE, which reconstructs what it reads",
            "name an SAE of the residual stream, of attn_out or of mlp_out",
        )
    if may_be is not None and site not in may_be:
        of = f"site {said.site}" if said.site else "no such site"
        yield (
            f"an SAE of {of} ({said.hook})",
            f"site {site}",
            "name the site that the SAE was trained at, or the SAE of this site",
        )
    elif said.hook and said.site is None and (may_be is None or place_of(said.hook, models[0]).may_be == ()):
        yield (
            f"an SAE of {said.hook!r}, which is no known name of a site of this model",
            f"one of site {site}",
            f"if it is that site, convert it with `crosslens sae convert … --site {site}` first",
        )
    if said.model and not any(same_model(said.model, name) for name in models):
        yield (
            f"an SAE of the model {said.model}",
            f"one of {models[0]}",
            "name an SAE of the study's model, or study the model of the SAE; what is meant for both can be converted with "
            "`crosslens sae convert … --model`",
        )
    if said.revision not in (None, "main", revision) and revision is not None:
        yield (
            f"an SAE of the model's revision {said.revision}",
            f"one of {revision}",
            f"pin `model.revision` to the commit of {said.revision}, or, if both are one, convert it with `crosslens sae "
            "convert` first",
        )


RENAMED = {
    "hook_point": "hook_name",
    "hook_point_head_index": "hook_head_index",
    "activation_fn_str": "activation_fn",
}
"""Keys of SAELens before 6 → of now."""


def is_saelens(config: Config) -> bool:
    """Whether it is SAELens', or ours; first of all, as a flat configuration also has keys of sparsify's."""
    return "d_sae" in config or isinstance(config.get("metadata"), dict)


def of_saelens(config: Config) -> Said:
    """Of version 6 with its metadata one level down, or of before, in one level."""
    config = {RENAMED.get(key, key): value for key, value in config.items()}
    metadata = config["metadata"] if isinstance(config.get("metadata"), dict) else config
    # several hooks are none that a study has a site for
    hook, model = text(metadata, "hook_name") or text(metadata, "hook_names"), text(metadata, "model_name")
    layer = saelens_layer(metadata)
    if hook and layer is not None:
        hook = hook.replace("{layer}", str(layer))
    whole = metadata.get("hook_head_index") is None and config.get("reshape_activations") in (None, "none")
    named = "transcoder" in (text(config, "architecture") or "")
    return Said(
        hook,
        place_of(hook, model) if whole and on_layer(hook, layer) else Place(may_be=()),
        model,
        named or bool(transcoder_signs(config, metadata, hook)),
        revision=text(metadata.get("model_from_pretrained_kwargs"), "revision")
        or text(metadata.get("crosslens"), "revision")
        or None,
        width=_width(config, "d_in"),
    )


def saelens_layer(metadata: Config) -> int | None:
    """Before 6 the layer could stand apart, for a {layer} in the hook's name."""
    layer = metadata.get("hook_layer", metadata.get("hook_point_layer"))
    return layer if type(layer) is int else int(layer) if str(layer).isdecimal() else None


def on_layer(hook: str | None, layer: int | None) -> bool:
    """Whether a hook is on the layer that stands apart from it, as far as both say."""
    sites = place_of(hook).may_be or ()
    return layer is None or all(site.partition(".")[0] == str(layer) for site in sites)


def transcoder_signs(config: Config, metadata: Config, hook: str | None) -> list[str]:
    """What SAELens' files of an SAE hold, elsewhere than in the architecture's name, that only a transcoder's do."""
    said = config | metadata
    out = [said[key] for key in ("hook_name_out", "hook_point_out", "out_hook_point") if said.get(key)]
    widths = {"d_out": said.get("d_out")} if said.get("d_out") not in (None, said.get("d_in")) else {}
    flags = {key: said[key] for key in ("is_transcoder", "transcode", "skip_connection") if said.get(key)}
    signs = [f"{key} {value}" for key, value in (flags | widths).items()]
    return signs + [f"output {other}" for other in out if other != hook]


def is_dictionary_learning(config: Config) -> bool:
    """Whether it is dictionary_learning's."""
    return isinstance(config.get("trainer"), dict)


def of_dictionary_learning(config: Config) -> Said:
    """Its own submodule names, such as resid_post_layer_8, or a module's; a layer alone does not say what of it."""
    trainer = config["trainer"]
    model = text(trainer, "lm_name")
    hook, layer = text(trainer, "submodule_name"), trainer.get("layer")
    buffer = config.get("buffer")
    io = buffer.get("io", "out") if isinstance(buffer, dict) else "out"
    transcoder = io not in ("in", "out") or "transcoder" in str(trainer.get("trainer_class")).lower()
    read = "output" if io == "out" else "input"
    width = _width(trainer, "activation_dim")
    if hook is None:
        known = layer is not None and str(layer).isdecimal() and not transcoder and read == "output"
        # resid_post is written as the bare layer
        sites = tuple(f"{layer}.{kind}".removesuffix(".resid_post") for kind in KINDS) if known else None
        said = None if layer is None else f"layer {layer}"
        return Said(said, Place(may_be=sites), model, transcoder, width=width)
    match = re.fullmatch(r"(resid_pre|attn_out|mlp_out|resid_post)_layer_(\d+)", hook)
    if match is None or read != "output":
        place = place_of(hook if read == "output" else f"{hook}.{read}", model)
    else:
        place = place_of(f"blocks.{match[2]}.hook_{match[1]}")
    said = hook if read == "output" else f"{hook} ({read})"
    if layer is not None and place.site and place.site.partition(".")[0] != str(layer):
        said, place = f"{hook}, layer {layer}", Place()
    return Said(said, place, model, transcoder, width=width)


def is_sparsify(config: Config) -> bool:
    """Whether it is sparsify's."""
    return "num_latents" in config or "expansion_factor" in config


def of_sparsify(config: Config, weights: Path) -> Said:
    """The hookpoint is the folder's name; model and mode are in the run's configuration, one folder above."""
    above = weights.parent.with_name("config.json")
    run = read_json_object(above) if above.is_file() else {}

    def says(option: str) -> bool:
        return any(isinstance(part, dict) and part.get(option) is True for part in (run, run.get("sae")))

    coder = config.get("transcode") is True
    # Before it was an option of the coder it was one of the run, and then the input's b_dec was subtracted all the same.
    transcoder = (
        coder
        or config.get("skip_connection") is True
        or says("transcode")
        or run.get("hook_mode") == "transcode"
    )
    reads_input = coder or says("transcode") or run.get("hook_mode") in ("input", "transcode")
    hook, model = weights.parent.name, text(run, "model")
    reads, writes = (place_of(f"{hook}.{end}", model) for end in ("input", "output"))
    said = None if writes.may_be is None else f"{hook}.input" if reads_input and not transcoder else hook
    return Said(
        said,
        reads if reads_input else writes,
        model,
        transcoder,
        writes.site if transcoder else None,
        text(run, "revision"),
        _width(config, "d_in"),
    )


def of_gemma_scope(weights: Path) -> Said:
    """Site and model of Gemma Scope 1 stand nowhere but in the path; without the repository's name in it they are unknown."""
    place = weights.absolute().as_posix()
    repo = re.search(r"gemma-scope-(\d+b)-(pt|it)-(res|mlp|att|transcoders)\b", place)
    layer = re.search(r".*/layer_(\d+)/", place)
    if repo is None:
        return Said(None, Place())
    sites = {"res": "", "mlp": ".mlp_out"}
    site = layer[1] + sites[repo[3]] if layer and repo[3] in sites else None
    transcoder = repo[3] == "transcoders"
    return Said(
        f"{repo[3]} of layer {layer[1]}" if layer else None,
        Place(site, (site,) if site else ()),
        f"google/gemma-2-{repo[1]}{'-it' if repo[2] == 'it' else ''}",
        transcoder,
        f"{layer[1]}.mlp_out" if transcoder and layer else None,
    )


def of_gemma_scope_2(config: Config, weights: Path) -> Said:
    """Some folders of Gemma Scope 2 have no config.json; the folder's name says the site."""
    hook, hook_out = text(config, "hf_hook_point_in"), text(config, "hf_hook_point_out")
    if hook is None:
        hook, hook_out = _hooks_of_folder(weights.parent)
    transcoder = config.get("affine_connection") is True or (hook_out is not None and hook_out != hook)
    return Said(
        hook,
        place_of(hook, "gemma-3"),
        _gemma_3(text(config, "model_name")),
        transcoder,
        place_of(hook_out, "gemma-3").site if transcoder else None,
    )


def _hooks_of_folder(folder: Path) -> tuple[str | None, str | None]:
    """(input, output or None) hook points of .../resid_post_all/layer_17_width_16k_l0_small and the like."""
    layer = re.match(r"layer_(\d+)_", folder.name)
    if layer is None:
        return None, None
    block, norm = f"model.layers.{layer[1]}", "post_feedforward_layernorm.output"
    return {
        "resid_post": (f"{block}.output", None),
        "attn_out": (f"{block}.self_attn.o_proj.input", None),
        "mlp_out": (f"{block}.{norm}", None),
        "transcoder": (f"{block}.pre_feedforward_layernorm.output", f"{block}.{norm}"),
    }.get(folder.parent.name.removesuffix("_all"), (None, None))


def _gemma_3(name: str | None) -> str | None:
    """gemma-v3-4b-it is google/gemma-3-4b-it; the pretrained 270m has no -pt on the hub."""
    if not name:
        return None
    name = name.replace("-v3", "-3").removeprefix("google/")
    return "google/" + (name.removesuffix("-pt") if "270m" in name else name)


def _width(config: Config, key: str) -> int | None:
    return config[key] if type(config.get(key)) is int else None
