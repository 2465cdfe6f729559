# What the languages have in common: where pairs are found again, and which way gender points in both.


localrules:
    gender_transfer,
    retrieval,


rule analyse_activations:
    input:
        needed("retrieval"),
    output:
        temp(touch(done("retrieval"))),
    log:
        "logs/{study}/analyse_activations_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("analyse_activations", w) * attempt,
        runtime=120,
    params:
        job=job("retrieval"),
    message:
        "{wildcards.study}: captions found again in the other language, and gender, layer {wildcards.site}"
    script:
        "../workflow/scripts/analyse_activations.py"


use rule source as gender_transfer with:
    input:
        made("gender_transfer", by="retrieval"),
    output:
        shown("gender_transfer"),
    log:
        "logs/{study}/names/gender_transfer_{site}.log",
    params:
        to=stored("gender_transfer"),


use rule source as retrieval with:
    input:
        made("retrieval"),
    output:
        shown("retrieval"),
    log:
        "logs/{study}/names/retrieval_{site}.log",
    params:
        to=stored("retrieval"),
