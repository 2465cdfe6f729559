"""Training of sparse autoencoders on stored activations: all SAEs of one site in one pass over them."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crosslens.devices import choose_training_device
from crosslens.errors import InputError
from crosslens.memory import memory_kept
from crosslens.progress import Progress
from crosslens.sae.run import Run, derive_seed
from crosslens.sae.runtime import reproducible, until_terminated
from crosslens.sae.settings import Settings
from crosslens.sae.step import normalisations
from crosslens.sae.stream import Mixture, Reader, TokenStream, select_source
from crosslens.tables.activations import Activations, Beside

log = logging.getLogger(__name__)

SAMPLE_TOKENS = 32_768
"""Tokens that the normalisation is measured on."""
SHARED = ("batch_tokens", "roles", "exclude_sinks", "sink_factor", "block_tokens", "buffer_mb")
"""Settings of the stream, which all SAEs of a job read."""


def train_saes(
    *,
    datasets: Mapping[str, Path],
    tokens: Mapping[str, Sequence[Path]],
    activations: Mapping[str, Sequence[Path]],
    saes: Sequence[Mapping[str, Any]],
    targets: Mapping[str, Sequence[Path]] | None = None,
    device: str = "auto",
) -> None:
    """Train SAEs on the activations of one site, all in one pass over them.

    datasets, tokens, activations: by language. saes: for each `identity` (corpus, site, seed, model,
    revision), `settings` (fields of `Settings`), `languages` and `out`, a folder that gets sae_weights.safetensors,
    cfg.json and training.json; for a transcoder also `target`, the site it writes to, whose activations are `targets`.

    What an SAE becomes does not depend on which others are trained beside it. A checkpoint in `out.parent` lets a
    killed run be repeated: it goes on from there and ends with the same bytes (for the same number of threads). On
    SIGTERM it is written at once and the process exits with 143. device: where models run (see choose_training_device).
    """
    runs = [Run(**sae) for sae in saes]
    streams = open_streams(datasets, tokens, activations, targets, runs)
    with memory_kept(), reproducible(), until_terminated() as terminated:
        groups = [
            Group(
                [run for run in runs if run.languages == languages], streams, choose_training_device(device)
            )
            for languages in dict.fromkeys(run.languages for run in runs)
        ]
        _train(groups, streams, terminated)
        for run in runs:
            run.export(streams)


def open_streams(
    datasets: Mapping[str, Path],
    tokens: Mapping[str, Sequence[Path]],
    activations: Mapping[str, Sequence[Path]],
    targets: Mapping[str, Sequence[Path]] | None,
    runs: Sequence[Run],
) -> dict[str, TokenStream]:
    """The stream of each language that a corpus of `runs` has."""
    config, identity, target = _shared(runs), runs[0].identity, runs[0].target
    firsts: dict[str, Activations] = {}

    def opened(paths: Sequence[Path], site: str, language: str) -> Activations:
        stored = Activations(paths)
        found = (stored.attributes["site"], stored.attributes["language"])
        if found != (site, language) or stored.d_model != firsts.setdefault(site, stored).d_model:
            raise InputError(
                stored.paths[0],
                found=f"site {found[0]}, language {found[1]}, width {stored.d_model}",
                expected=f"site {site}, language {language}, the same width in all languages",
                mend="give the activations of this site, and of one model",
            )
        return stored

    streams: dict[str, TokenStream] = {}
    for language in dict.fromkeys(language for run in runs for language in run.languages):
        stored = opened(activations[language], identity["site"], language)
        if target:
            stored = Beside(stored, opened(targets[language], target, language))
        source = select_source(
            language=language,
            dataset=datasets[language],
            tokens=tokens[language],
            activations=stored,
            roles=config.roles,
            sink_factor=config.sink_factor if config.exclude_sinks else None,
        )
        # one order for all SAEs that read the language, whatever their seeds
        seed = derive_seed(identity | {"seed": "order", "corpus": language})
        streams[language] = TokenStream(
            source, seed=seed, block_tokens=config.block_tokens, buffer_mb=config.buffer_mb
        )
    return streams


def _shared(runs: Sequence[Run]) -> Settings:
    """The settings of the first run; InputError where the runs cannot share streams, or would share a checkpoint."""
    first, folders = runs[0], set()
    expected = _of_stream(first)
    for run in runs:
        if (found := _of_stream(run)) != expected:
            raise InputError(
                run.title,
                found=str(found),
                expected=f"{expected}, those of {first.title}",
                mend="train SAEs together only where they read the same tokens",
            )
        if run.out.parent in folders:
            raise InputError(
                run.out,
                found="the folder of another SAE of the job around it",
                expected="a folder for each, where its checkpoint lies beside `out`",
                mend="give each SAE an `out` in a folder of its own",
            )
        folders.add(run.out.parent)
    return first.config


def _of_stream(run: Run) -> dict[str, Any]:
    """What decides which activations an SAE is given, and in what order."""
    named = {key: run.identity[key] for key in ("model", "site")} | {"target": run.target}
    return named | {name: getattr(run.config, name) for name in SHARED}


class Group:
    """The SAEs of one corpus: they get the same batches, normalised by the same numbers."""

    def __init__(self, runs: Sequence[Run], streams: Mapping[str, TokenStream], device: torch.device):
        self.runs, self.device = list(runs), device
        self.size = runs[0].config.batch_tokens
        self.mixture = Mixture({language: streams[language] for language in runs[0].languages})
        reader = Reader(streams, self.mixture.before(0))
        sample = self.batch(reader, 0, min(SAMPLE_TOKENS, self.mixture.total))
        reader.close()
        sides = normalisations(sample, streams[runs[0].languages[0]].source.activations.d_in)
        for run in self.runs:
            run.begin(self.mixture.total, *sides)

    def batch(self, reader: Reader, start: int, stop: int) -> Tensor:
        """float32 (stop - start, width): tokens start to stop of the corpus, on the device."""
        stored = reader.tokens(self.mixture, start, stop)
        # a copy of torch's own: the alignment of memory decides last bits of a product
        if stored.dtype == np.uint16:
            return torch.from_numpy(stored).view(torch.bfloat16).to(self.device, torch.float32)
        return torch.tensor(stored, device=self.device)

    @property
    def step(self) -> int | None:
        """The step that the next batch is for, that of the SAE furthest behind; None when all have finished."""
        return min((run.state.step for run in self.runs if not run.finished), default=None)

    @property
    def place(self) -> int:
        """Tokens of the corpus before the next batch."""
        return self.step * self.size


def _train(groups: Sequence[Group], streams: Mapping[str, TokenStream], terminated: Event) -> None:
    """Bring all runs to their last step, corpora side by side."""
    runs = [run for group in groups for run in group.runs]
    size = groups[0].size
    for run in runs:
        log.info("%s: %s", run.title, run.state.model.products)
    progress = Progress(
        runs[0].title if len(runs) == 1 else f"{len(runs)} SAEs of layer {runs[0].identity['site']}",
        size * sum(run.steps for run in runs),
        "tokens",
        start=size * sum(run.state.step for run in runs),
    )
    reader, began = None, time.perf_counter()
    while unfinished := [group for group in groups if group.step is not None]:
        if reader is None:
            reader = Reader(streams, _needed(unfinished))
        reader.drop(_needed(unfinished))
        group = min(unfinished, key=lambda group: group.place / group.mixture.total)
        step, x = group.step, group.batch(reader, group.place, group.place + size)
        for run in group.runs:
            if run.state.step == step and not run.finished:
                run.advance(x)
                shown = {name: run.state.curve[-1][name] for name in ("fvu", "l0", "dead")}
                progress.update(size, **shown, data_wait=reader.waited / (time.perf_counter() - began))
                # the last state is kept while others go on
                if run.checkpoint_due or (run.finished and len(runs) > 1):
                    run.save()
        if terminated.is_set() and any(not run.finished for run in runs):
            for run in runs:
                run.save()
            raise SystemExit(143)
    if reader is not None:
        reader.close()


def _needed(groups: Sequence[Group]) -> dict[str, int]:
    """By language, the first token that some group has yet to take."""
    places: dict[str, int] = {}
    for group in groups:
        for language, place in group.mixture.before(group.place).items():
            places[language] = min(place, places.get(language, place))
    return places
