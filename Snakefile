# crosslens: pictures and captions in two languages -> activations -> sparse autoencoders -> features -> report.
# config/config.yaml says which studies are built, config/studies/ what each one is.
from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    study=r"[A-Za-z0-9_]+",
    language=r"[a-z]{2,3}",
    corpus=r"(?!activations/)[a-z][a-z0-9_]*",
    site=r"\d+(\.(resid_pre|attn_out|mlp_out))?",
    part=r"\d{4}",
    seed=r"\d+",
    variant=r"[A-Za-z0-9_.+-]+",
    model=r"[A-Za-z0-9_.+-]+",
    other=r"[A-Za-z0-9_]+",


include: "rules/common.smk"
include: "rules/warm.smk"
# Every artifact's place under results/ (crosslens.artifacts declares them).
include: "rules/names.smk"
# The stages, in the order in which they run.
include: "rules/data.smk"
include: "rules/model.smk"
include: "rules/activations.smk"
include: "rules/sae.smk"
include: "rules/features.smk"
include: "rules/sweep.smk"
include: "rules/gender.smk"
include: "rules/alignment.smk"
include: "rules/interventions.smk"
include: "rules/steering.smk"
include: "rules/clamp.smk"
include: "rules/patching.smk"
include: "rules/lens.smk"
include: "rules/descriptions.smk"
include: "rules/geometry.smk"
include: "rules/tokens.smk"
include: "rules/controls.smk"
include: "rules/verdicts.smk"
include: "rules/report.smk"
include: "rules/notebook.smk"
# Not part of any study: the recipe of the embedded model, and what every method says of truths put into it.
include: "rules/planted.smk"
include: "rules/certificate.smk"


localrules:
    all,
    all_activations,
    all_saes,
    all_analyses,
    all_figures,
    report,
    verify,


rule all:
    default_target: True
    input:
        collected(),
        explored,
    message:
        "everything of the studies that config/config.yaml names"


rule all_activations:
    input:
        collected("tokens", "activations", "texts_metadata"),
    message:
        "the activations of all layers"


rule all_saes:
    input:
        collected("sae", "swept_sae", "pretrained"),
    message:
        "the SAEs of all layers, corpora and seeds"


rule all_analyses:
    input:
        collected("layer", "stereotype", "sweep", "token_inspection", "model_comparison"),
    message:
        "the analyses of all layers"


rule all_figures:
    input:
        collected(*table.figures),
    message:
        "the figures"


rule report:
    input:
        collected("page"),
    message:
        "the report pages"


rule verify:
    log:
        "logs/verify.log",
    conda:
        "envs/analysis.yaml"
    message:
        "every artifact's bytes against its digest"
    shell:
        f"status=0; {shlex.quote(sys.executable)} -m crosslens.cli store verify > {{log}} 2>&1 || status=$?;"
        " cat {log}; exit $status"


onstart:
    begun()
    warm_up()
