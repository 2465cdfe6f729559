"""How many jobs of each rule build a study: what `snakemake -n --config run=STUDY` counts where nothing is built yet.

Counted from the settings alone, as the data need not be there; `tests/test_plan.py` holds it to what Snakemake says.
"""

from collections import Counter
from collections.abc import Sequence

from crosslens.study import Study


def count_jobs(study: Study, parts: int, compared: Sequence[tuple[Study, int]]) -> Counter[str]:
    """Rule → jobs, of the rules that compute.

    parts: of a language. compared: the studies that `compare.with` names, with the parts of each.
    """
    jobs = reading_jobs(study, study.languages, parts)
    for _ in study.sae_sites:
        jobs += _training_jobs(study)
    for site in study.sites:
        jobs += _analysis_jobs(study, site)
    jobs += _study_jobs(study)
    for other, other_parts in compared:
        languages = common_languages(study, other)
        jobs += reading_jobs(other, languages, other_parts)
        jobs["compare_models"] += len(languages)
    return jobs


def reading_jobs(study: Study, languages: Sequence[str], parts: int) -> Counter[str]:
    """What gives the activations of these languages."""
    return _counter(
        draw_source=study.is_planted,
        collect_source=study.names is not None,
        prepare_model=study.must_be_prepared,
        generate_texts=study.is_generation,
        build_dataset=not study.is_generation,
        extract=len(languages) * parts,
    )


def common_languages(study: Study, other: Study) -> list[str]:
    """Those of a study that another one has too."""
    return [language for language in study.languages if language in other.languages]


def readers(study: Study, corpus: str) -> list[str]:
    """The languages that the SAEs of a corpus are analysed in: a language's own, or all of a joint or pretrained one."""
    return [corpus] if corpus in study.languages else study.languages


def _training_jobs(study: Study) -> Counter[str]:
    """At each site with SAEs: their training, a sweep over their settings, and their figures."""
    swept = len(study.corpora) if study.variants else 0
    return _counter(
        train_saes=bool(study.corpora),
        apply_swept_sae=swept * len(study.variants),
        splice_swept_saes=swept,
        compare_settings=swept,
        draw_sweep_figure=swept,
        draw_layer_figures=1,
    )


def _analysis_jobs(study: Study, site: str) -> Counter[str]:
    """At each site: with every SAE in every language that it is read in, and on the activations themselves."""
    corpora, several = study.corpora_at(site), len(study.languages) > 1
    return _counter(
        adopt_sae=sum(site in sources for sources in study.pretrained.values()),
        apply_saes=bool(corpora),
        splice_saes=bool(corpora),
        analyse_codes=len(corpora),
        analyse_activations=study.has_gender or several,
        layer_summary=1,
    )


def _study_jobs(study: Study) -> Counter[str]:
    """What is done once."""
    captioned = study.has_gender and study.has_pictures
    return _counter(
        generate_captions=captioned * len(study.languages),
        measure_stereotype=captioned,
        inspect_tokens=study.settings["tokens"] is not None,
        draw_study_figures=1,
        build_report=1,
    )


def _counter(**counts: int) -> Counter[str]:
    """Of those that are not 0, as `snakemake -n` lists them."""
    return Counter({rule: int(count) for rule, count in counts.items() if count})
