# What the SAEs are worth and what their features do, on tokens they were not trained on.


localrules:
    codes,
    quality,
    spliced,
    features,


rule encode:
    input:
        needed("codes"),
    output:
        temp(touch(done("codes"))),
    log:
        "logs/{study}/encode_{corpus}_{language}_{site}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("encode", w) * attempt,
        runtime=120,
    params:
        job=job("codes"),
    message:
        "{wildcards.study}: codes, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/encode.py"


rule measure_quality:
    input:
        needed("quality"),
    output:
        temp(touch(done("quality"))),
    log:
        "logs/{study}/measure_quality_{corpus}_{language}_{site}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("measure_quality", w) * attempt,
        runtime=120,
    params:
        job=job("quality"),
    message:
        "{wildcards.study}: quality, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/measure_quality.py"


rule measure_splice:
    input:
        needed("spliced"),
    output:
        temp(touch(done("spliced"))),
    log:
        "logs/{study}/measure_splice_{corpus}_{language}_{site}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("measure_splice", w) * attempt,
        runtime=240,
        gpu=1,
    params:
        job=job("spliced", local=model_place),
    message:
        "{wildcards.study}: spliced into the model, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/measure_splice.py"


rule feature_statistics:
    input:
        needed("features"),
    output:
        temp(touch(done("features"))),
    log:
        "logs/{study}/feature_statistics_{corpus}_{language}_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("feature_statistics", w) * attempt,
        runtime=120,
    params:
        job=job("features"),
    message:
        "{wildcards.study}: feature statistics and rankings, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/feature_statistics.py"


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
        made("quality"),
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
