# What the SAEs are worth and what their features do, on tokens they were not trained on.


rule encode:
    """sae, tokens, activations -> codes/{corpus}/{language}/layer_{site}.zarr"""
    input:
        needed("encode"),
    output:
        temp(touch(done("encode"))),
    log:
        logged("encode"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("encode"),
        runtime=120,
    params:
        job=job("encode"),
    message:
        "{wildcards.study}: codes, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/encode.py"


rule measure_quality:
    """texts, sae, tokens, activations, dataset -> quality/{corpus}/{language}/layer_{site}.json"""
    input:
        needed("measure_quality"),
    output:
        temp(touch(done("measure_quality"))),
    log:
        logged("measure_quality"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("measure_quality"),
        runtime=120,
    params:
        job=job("measure_quality"),
    message:
        "{wildcards.study}: quality, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/measure_quality.py"


rule measure_splice:
    """texts, sae, dataset, model, collection, source -> quality/{corpus}/{language}/spliced/layer_{site}.json"""
    input:
        needed("measure_splice"),
    output:
        temp(touch(done("measure_splice"))),
    log:
        logged("measure_splice"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("measure_splice"),
        runtime=240,
        gpu=1,
    params:
        job=job("measure_splice"),
    message:
        "{wildcards.study}: spliced into the model, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/measure_splice.py"


rule feature_statistics:
    """texts, codes, tokens, dataset -> features/{corpus}/{language}/layer_{site}"""
    input:
        needed("feature_statistics"),
    output:
        temp(touch(done("feature_statistics"))),
    log:
        logged("feature_statistics"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("feature_statistics"),
        runtime=120,
    params:
        job=job("feature_statistics"),
    message:
        "{wildcards.study}: feature statistics and rankings, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/feature_statistics.py"
