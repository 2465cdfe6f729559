# Gender: effect sizes, probes, the languages compared, and the model's own captions of ambiguous pictures.


localrules:
    gender,
    gendered_examples,
    probe_codes,
    probe_activations,
    cross_lingual,
    generated,
    stereotype,


rule generate_captions:
    input:
        needed("generated"),
    output:
        temp(touch(done("generated"))),
    log:
        "logs/{study}/generate_captions_{language}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("generate_captions", w) * attempt,
        runtime=480,
        gpu=1,
    params:
        job=job("generated", local=model_place),
    message:
        "{wildcards.study}: captions by the model itself, {wildcards.language} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/generate_captions.py"


rule measure_stereotype:
    input:
        needed("stereotype"),
    output:
        temp(touch(done("stereotype"))),
    log:
        "logs/{study}/measure_stereotype.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("measure_stereotype", w) * attempt,
        runtime=60,
    params:
        job=job("stereotype", local=data_place),
    message:
        "{wildcards.study}: gendered share per occupation"
    script:
        "../workflow/scripts/measure_stereotype.py"


use rule source as gender with:
    input:
        made("gender", by="features"),
    output:
        shown("gender"),
    log:
        "logs/{study}/names/gender_{corpus}_{language}_{site}.log",
    params:
        to=stored("gender"),


use rule source as gendered_examples with:
    input:
        made("gendered_examples", by="features"),
    output:
        shown("gendered_examples"),
    log:
        "logs/{study}/names/gendered_examples_{corpus}_{language}_{site}.log",
    params:
        to=stored("gendered_examples"),


use rule source as probe_codes with:
    input:
        made("probe_codes", by="features"),
    output:
        shown("probe_codes"),
    log:
        "logs/{study}/names/probe_codes_{corpus}_{language}_{site}.log",
    params:
        to=stored("probe_codes"),


use rule source as probe_activations with:
    input:
        made("probe_activations", by="retrieval"),
    output:
        shown("probe_activations"),
    log:
        "logs/{study}/names/probe_activations_{language}_{site}.log",
    params:
        to=stored("probe_activations"),


use rule source as cross_lingual with:
    input:
        made("cross_lingual", by="features"),
    output:
        shown("cross_lingual"),
    log:
        "logs/{study}/names/cross_lingual_{corpus}_{site}.log",
    params:
        to=stored("cross_lingual"),


use rule source as generated with:
    input:
        made("generated"),
    output:
        shown("generated"),
    log:
        "logs/{study}/names/generated_{language}.log",
    params:
        to=stored("generated"),


use rule source as stereotype with:
    input:
        made("stereotype"),
    output:
        shown("stereotype"),
    log:
        "logs/{study}/names/stereotype.log",
    params:
        to=stored("stereotype"),
