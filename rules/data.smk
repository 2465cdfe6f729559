# Pictures and captions: drawn (embedded study) or the user's own, to one table a language.


localrules:
    source,
    dataset,
    dataset_summary,


rule draw_source:
    output:
        temp(touch(done("source"))),
    log:
        "logs/{study}/draw_source.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 800 * attempt,
        runtime=20,
    params:
        job=job("source"),
    message:
        "{wildcards.study}: draw the pictures and write the captions"
    script:
        "../workflow/scripts/draw_source.py"


rule build_dataset:
    input:
        needed("dataset_summary"),
    output:
        temp(touch(done("dataset_summary"))),
    log:
        "logs/{study}/build_dataset.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 1500 * attempt,
        runtime=60,
    params:
        job=job("dataset_summary", local=data_place),
    message:
        "{wildcards.study}: captions to tables, with labels, splits and quarantine"
    script:
        "../workflow/scripts/build_dataset.py"


rule source:
    input:
        made("source"),
    output:
        directory(shown("source")),
    log:
        "logs/{study}/names/source.log",
    conda:
        "../envs/analysis.yaml"
    params:
        to=stored("source"),
    message:
        "{output}"
    shell:
        LINK


use rule source as dataset with:
    input:
        made("dataset", by="dataset_summary"),
    output:
        shown("dataset"),
    log:
        "logs/{study}/names/dataset_{language}.log",
    params:
        to=stored("dataset"),


use rule source as dataset_summary with:
    input:
        made("dataset_summary"),
    output:
        shown("dataset_summary"),
    log:
        "logs/{study}/names/dataset_summary.log",
    params:
        to=stored("dataset_summary"),
