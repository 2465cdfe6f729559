# What the languages have in common: where pairs are found again, which way gender points in both, and which features are shared.


rule analyse_activations:
    """dataset, tokens, activations, text_alone -> alignment/retrieval/layer_{site}.json and gender/activations/{language}/probe/layer_{site}.json and gender/activations/{language}/written/probe/layer_{site}.json and gender/activations/transfer/layer_{site}.json and alignment/representations/layer_{site}.json"""
    input:
        needed("analyse_activations"),
    output:
        temp(touch(done("analyse_activations"))),
    log:
        logged("analyse_activations"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("analyse_activations"),
        runtime=minutes("analyse_activations"),
    params:
        job=job("analyse_activations"),
    message:
        "{wildcards.study}: captions found again in the other language, and gender, layer {wildcards.site}"
    script:
        "../workflow/scripts/analyse_activations.py"


rule feature_sharing:
    """dataset, codes, tokens, sae, activations -> alignment/sharing/{corpus}/layer_{site}"""
    input:
        needed("feature_sharing"),
    output:
        temp(touch(done("feature_sharing"))),
    log:
        logged("feature_sharing"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("feature_sharing"),
        runtime=minutes("feature_sharing"),
    params:
        job=job("feature_sharing"),
    message:
        "{wildcards.study}: features that the languages share, {wildcards.corpus}, layer {wildcards.site}"
    script:
        "../workflow/scripts/feature_sharing.py"


rule draw_sharing_figure:
    """sharing -> figures/sharing/{corpus}/layer_{site}"""
    input:
        needed("draw_sharing_figure"),
    output:
        temp(touch(done("draw_sharing_figure"))),
    log:
        logged("draw_sharing_figure"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_sharing_figure"),
        runtime=minutes("draw_sharing_figure"),
    params:
        job=job("draw_sharing_figure"),
    message:
        "{wildcards.study}: figure of shared features, {wildcards.corpus}, layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_sharing_figure.py"


rule match_features:
    """sae, swept_sae, codes, tokens, dataset, features, gender -> alignment/matching/layer_{site}"""
    input:
        needed("match_features"),
    output:
        temp(touch(done("match_features"))),
    log:
        logged("match_features"),
    conda:
        "../envs/analysis.yaml"
    threads: 2
    resources:
        mem_mb=megabytes("match_features"),
        runtime=minutes("match_features"),
    params:
        job=job("match_features"),
    message:
        "{wildcards.study}: features of the languages' SAEs matched, layer {wildcards.site}"
    script:
        "../workflow/scripts/match_features.py"


rule draw_matching_figure:
    """matching -> figures/layer_{site}"""
    input:
        needed("draw_matching_figure"),
    output:
        temp(touch(done("draw_matching_figure"))),
    log:
        logged("draw_matching_figure"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_matching_figure"),
        runtime=minutes("draw_matching_figure"),
    params:
        job=job("draw_matching_figure"),
    message:
        "{wildcards.study}: figure of matched features, layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_matching_figure.py"


rule compare_layers:
    """layer, representations -> alignment/divergence.json"""
    input:
        needed("compare_layers"),
    output:
        temp(touch(done("compare_layers"))),
    log:
        logged("compare_layers"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("compare_layers"),
        runtime=minutes("compare_layers"),
    params:
        job=job("compare_layers"),
    message:
        "{wildcards.study}: where the languages part and meet"
    script:
        "../workflow/scripts/compare_layers.py"


rule draw_divergence_figure:
    """divergence -> figures"""
    input:
        needed("draw_divergence_figure"),
    output:
        temp(touch(done("draw_divergence_figure"))),
    log:
        logged("draw_divergence_figure"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_divergence_figure"),
        runtime=minutes("draw_divergence_figure"),
    params:
        job=job("draw_divergence_figure"),
    message:
        "{wildcards.study}: figure of the languages over depth"
    script:
        "../workflow/scripts/draw_divergence_figure.py"
