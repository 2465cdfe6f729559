# What the languages have in common: where pairs are found again, and which way gender points in both.


localrules:
    gender_transfer,
    retrieval,


rule transfer_gender:
    input:
        needed("gender_transfer"),
    output:
        temp(touch(done("gender_transfer"))),
    log:
        "logs/{study}/transfer_gender_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("transfer_gender", w) * attempt,
        runtime=120,
    params:
        job=job("gender_transfer"),
    message:
        "{wildcards.study}: gender from one language to the other, layer {wildcards.site}"
    script:
        "../workflow/scripts/transfer_gender.py"


rule retrieve_captions:
    input:
        needed("retrieval"),
    output:
        temp(touch(done("retrieval"))),
    log:
        "logs/{study}/retrieve_captions_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("retrieve_captions", w) * attempt,
        runtime=120,
    params:
        job=job("retrieval"),
    message:
        "{wildcards.study}: captions found again in the other language, layer {wildcards.site}"
    script:
        "../workflow/scripts/retrieve_captions.py"


use rule source as gender_transfer with:
    input:
        made("gender_transfer"),
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
