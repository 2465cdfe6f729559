# Pictures and captions: drawn (embedded study), collected from packages, the user's own, or written by the model; to
# one table a language.


localrules:
    source,
    collection,
    dataset,
    dataset_summary,
    texts,
    texts_metadata,
    texts_summary,


rule draw_source:
    output:
        temp(touch(done("source"))),
    log:
        "logs/{study}/draw_source.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("draw_source", w) * attempt,
        runtime=20,
    params:
        job=job("source"),
    message:
        "{wildcards.study}: draw the pictures and write the captions"
    script:
        "../workflow/scripts/draw_source.py"


rule collect_source:
    output:
        temp(touch(done("collection"))),
    log:
        "logs/{study}/collect_source.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("collect_source", w) * attempt,
        runtime=60,
    params:
        job=job("collection", local=lambda w: {"names": of(w).names}),
    message:
        "{wildcards.study}: names and messages from packages"
    script:
        "../workflow/scripts/collect_source.py"


rule generate_texts:
    input:
        needed("texts"),
    output:
        temp(touch(done("texts"))),
    log:
        "logs/{study}/generate_texts.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("generate_texts", w) * attempt,
        runtime=240,
        gpu=1,
    params:
        job=job("texts", local=model_place),
    message:
        "{wildcards.study}: the model answers the prompts [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/generate_texts.py"


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
        mem_mb=lambda w, attempt: megabytes("build_dataset", w) * attempt,
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


use rule source as collection with:
    input:
        made("collection"),
    output:
        directory(shown("collection")),
    log:
        "logs/{study}/names/collection.log",
    params:
        to=stored("collection"),


use rule source as texts with:
    input:
        made("texts"),
    output:
        shown("texts"),
    log:
        "logs/{study}/names/texts_{language}.log",
    params:
        to=stored("texts"),


use rule source as texts_metadata with:
    input:
        made("texts_metadata", by="texts"),
    output:
        shown("texts_metadata"),
    log:
        "logs/{study}/names/texts_metadata.log",
    params:
        to=stored("texts_metadata"),


use rule source as texts_summary with:
    input:
        made("texts_summary", by="texts"),
    output:
        shown("texts_summary"),
    log:
        "logs/{study}/names/texts_summary.log",
    params:
        to=stored("texts_summary"),
