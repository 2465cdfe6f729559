# Single tokens looked at, and the models of two studies compared on the same texts.


localrules:
    token_inspection,
    model_comparison,


rule inspect_tokens:
    input:
        needed("token_inspection"),
    output:
        temp(touch(done("token_inspection"))),
    log:
        "logs/{study}/inspect_tokens.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("inspect_tokens", w) * attempt,
        runtime=60,
        gpu=1,
    params:
        job=job("token_inspection", local=model_place),
    message:
        "{wildcards.study}: chosen tokens [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/inspect_tokens.py"


rule compare_models:
    input:
        needed("model_comparison"),
    output:
        temp(touch(done("model_comparison"))),
    log:
        "logs/{study}/compare_models_{other}_{language}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("compare_models", w) * attempt,
        runtime=120,
    params:
        job=job("model_comparison"),
    message:
        "{wildcards.study} and {wildcards.other}: their models on the same texts, {wildcards.language}"
    script:
        "../workflow/scripts/compare_models.py"


use rule source as token_inspection with:
    input:
        made("token_inspection"),
    output:
        directory(shown("token_inspection")),
    log:
        "logs/{study}/names/token_inspection.log",
    params:
        to=stored("token_inspection"),


use rule source as model_comparison with:
    input:
        made("model_comparison"),
    output:
        directory(shown("model_comparison")),
    log:
        "logs/{study}/names/model_comparison_{other}_{language}.log",
    params:
        to=stored("model_comparison"),
