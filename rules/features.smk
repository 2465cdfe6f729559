# What the SAEs are worth and what their features do, on tokens they were not trained on.


localrules:
    codes,
    quality,
    spliced,
    features,


rule apply_saes:
    input:
        needed("codes"),
    output:
        temp(touch(done("codes"))),
    log:
        "logs/{study}/apply_saes_{site}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("apply_saes", w) * attempt,
        runtime=120,
    params:
        job=job("codes"),
    message:
        "{wildcards.study}: codes and quality of the SAEs of layer {wildcards.site}"
    script:
        "../workflow/scripts/apply_saes.py"


rule splice_saes:
    input:
        needed("spliced"),
    output:
        temp(touch(done("spliced"))),
    log:
        "logs/{study}/splice_saes_{site}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("splice_saes", w) * attempt,
        runtime=240,
        gpu=1,
    params:
        job=job("spliced", local=model_place),
    message:
        "{wildcards.study}: SAEs of layer {wildcards.site} spliced into the model [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/splice_saes.py"


rule analyse_codes:
    input:
        needed("features"),
    output:
        temp(touch(done("features"))),
    log:
        "logs/{study}/analyse_codes_{corpus}_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("analyse_codes", w) * attempt,
        runtime=120,
    params:
        job=job("features"),
    message:
        "{wildcards.study}: what the features of the {wildcards.corpus} SAE do, layer {wildcards.site}"
    script:
        "../workflow/scripts/analyse_codes.py"


use rule source as codes with:
    input:
        made("codes"),
    output:
        directory(shown("codes")),
    log:
        "logs/{study}/names/codes_{corpus}_{language}_{site}.log",
    params:
        to=stored("codes"),


use rule source as quality with:
    input:
        made("quality", by="codes"),
    output:
        shown("quality"),
    log:
        "logs/{study}/names/quality_{corpus}_{language}_{site}.log",
    params:
        to=stored("quality"),


use rule source as spliced with:
    input:
        made("spliced"),
    output:
        shown("spliced"),
    log:
        "logs/{study}/names/spliced_{corpus}_{language}_{site}.log",
    params:
        to=stored("spliced"),


use rule source as features with:
    input:
        made("features"),
    output:
        shown("features"),
    log:
        "logs/{study}/names/features_{corpus}_{language}_{site}.log",
    params:
        to=stored("features"),
