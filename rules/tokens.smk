# Single tokens looked at, and the models of two studies compared on the same texts.


rule inspect_tokens:
    """model -> tokens/inspection"""
    input:
        needed("inspect_tokens"),
    output:
        temp(touch(done("inspect_tokens"))),
    log:
        logged("inspect_tokens"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("inspect_tokens"),
        runtime=minutes("inspect_tokens"),
        gpu=1,
    params:
        job=job("inspect_tokens"),
    message:
        "{wildcards.study}: chosen tokens [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/inspect_tokens.py"


rule compare_models:
    """dataset, tokens, activations -> comparison/{other}/{language}"""
    input:
        needed("compare_models"),
    output:
        temp(touch(done("compare_models"))),
    log:
        logged("compare_models"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("compare_models"),
        runtime=minutes("compare_models"),
    params:
        job=job("compare_models"),
    message:
        "{wildcards.study} and {wildcards.other}: their models on the same texts, {wildcards.language}"
    script:
        "../workflow/scripts/compare_models.py"
