# One forward pass per language and part writes the token table and every layer that the store lacks.


localrules:
    tokens,
    activations,


rule extract:
    input:
        needed("tokens"),
    output:
        temp(touch(done("tokens"))),
    log:
        "logs/{study}/extract_{language}_{part}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt, threads: megabytes("extract", w, threads) * attempt,
        runtime=240,
        gpu=1,
    params:
        job=job("tokens", local=model_place),
    message:
        "{wildcards.study}: activations of {wildcards.language}, part {wildcards.part} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/extract.py"


use rule source as tokens with:
    input:
        made("tokens"),
    output:
        directory(shown("tokens")),
    log:
        "logs/{study}/names/tokens_{language}_{part}.log",
    params:
        to=stored("tokens"),


use rule source as activations with:
    input:
        made("activations", by="tokens"),
    output:
        directory(shown("activations")),
    log:
        "logs/{study}/names/activations_{language}_{site}_{part}.log",
    params:
        to=stored("activations"),
