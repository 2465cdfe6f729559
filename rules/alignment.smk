# What the languages have in common: where pairs are found again, and which way gender points in both.


rule analyse_activations:
    """dataset, tokens, activations, text_alone -> alignment/retrieval/layer_{site}.json and gender/activations/{language}/probe/layer_{site}.json and gender/activations/transfer/layer_{site}.json"""
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
        runtime=120,
    params:
        job=job("analyse_activations"),
    message:
        "{wildcards.study}: captions found again in the other language, and gender, layer {wildcards.site}"
    script:
        "../workflow/scripts/analyse_activations.py"
