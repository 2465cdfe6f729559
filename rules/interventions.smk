# What changes when the model runs without a feature, or with another SAE's in its place.


rule ablate_features:
    """sae, codes, tokens, dataset, model, collection, source -> alignment/ablation/{corpus}/layer_{site}.json"""
    input:
        needed("ablate_features"),
    output:
        temp(touch(done("ablate_features"))),
    log:
        logged("ablate_features"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("ablate_features"),
        runtime=minutes("ablate_features"),
        gpu=1,
    params:
        job=job("ablate_features"),
    message:
        "{wildcards.study}: features of the {wildcards.corpus} SAE ablated, layer {wildcards.site} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/ablate_features.py"


rule draw_ablation_figure:
    """ablation -> figures/sharing/{corpus}/layer_{site}"""
    input:
        needed("draw_ablation_figure"),
    output:
        temp(touch(done("draw_ablation_figure"))),
    log:
        logged("draw_ablation_figure"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_ablation_figure"),
        runtime=minutes("draw_ablation_figure"),
    params:
        job=job("draw_ablation_figure"),
    message:
        "{wildcards.study}: figure of ablated features, {wildcards.corpus}, layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_ablation_figure.py"


rule substitute_features:
    """sae, swept_sae, dataset, features, model, collection, source -> alignment/substitution/layer_{site}.json"""
    input:
        needed("substitute_features"),
    output:
        temp(touch(done("substitute_features"))),
    log:
        logged("substitute_features"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("substitute_features"),
        runtime=minutes("substitute_features"),
        gpu=1,
    params:
        job=job("substitute_features"),
    message:
        "{wildcards.study}: features of one SAE in the place of another's, layer {wildcards.site} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/substitute_features.py"


rule draw_substitution_figure:
    """substitution -> figures/layer_{site}"""
    input:
        needed("draw_substitution_figure"),
    output:
        temp(touch(done("draw_substitution_figure"))),
    log:
        logged("draw_substitution_figure"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_substitution_figure"),
        runtime=minutes("draw_substitution_figure"),
    params:
        job=job("draw_substitution_figure"),
    message:
        "{wildcards.study}: figure of substituted features, layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_substitution_figure.py"


rule ablate_groups:
    """sae, codes, tokens, gender, dataset, model, collection, source -> interventions/groups/{corpus}/layer_{site}.json"""
    input:
        needed("ablate_groups"),
    output:
        temp(touch(done("ablate_groups"))),
    log:
        logged("ablate_groups"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("ablate_groups"),
        runtime=minutes("ablate_groups"),
        gpu=1,
    params:
        job=job("ablate_groups"),
    message:
        "{wildcards.study}: groups of gendered features of {wildcards.corpus} at site {wildcards.site} ablated [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/ablate_groups.py"
