# A sweep of SAE settings: what each costs and keeps, and which is recommended.


localrules:
    swept_quality,
    swept_spliced,
    sweep,
    sweep_figure,


use rule apply_saes as apply_swept_sae with:
    input:
        needed("swept_quality"),
    output:
        temp(touch(done("swept_quality"))),
    log:
        "logs/{study}/apply_swept_sae_{corpus}_{site}_{variant}.log",
    params:
        job=job("swept_quality"),
    message:
        "{wildcards.study}: quality, {wildcards.corpus} SAE {wildcards.variant}, layer {wildcards.site}"


use rule splice_saes as splice_swept_saes with:
    input:
        needed("swept_spliced"),
    output:
        temp(touch(done("swept_spliced"))),
    log:
        "logs/{study}/splice_swept_saes_{corpus}_{site}.log",
    params:
        job=job("swept_spliced", local=model_place),
    message:
        "{wildcards.study}: swept {wildcards.corpus} SAEs of layer {wildcards.site} spliced into the model [{resources.gpu} GPU, {resources.mem_mb} MB]"


rule compare_settings:
    input:
        needed("sweep"),
    output:
        temp(touch(done("sweep"))),
    log:
        "logs/{study}/compare_settings_{corpus}_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("compare_settings", w) * attempt,
        runtime=10,
    params:
        job=job("sweep"),
    message:
        "{wildcards.study}: sweep of SAE settings, {wildcards.corpus}, layer {wildcards.site}"
    script:
        "../workflow/scripts/compare_settings.py"


rule draw_sweep_figure:
    input:
        needed("sweep_figure"),
    output:
        temp(touch(done("sweep_figure"))),
    log:
        "logs/{study}/draw_sweep_figure_{corpus}_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("draw_sweep_figure", w) * attempt,
        runtime=10,
    params:
        job=job("sweep_figure"),
    message:
        "{wildcards.study}: figure of the sweep, {wildcards.corpus}, layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_sweep_figure.py"


use rule source as swept_quality with:
    input:
        made("swept_quality"),
    output:
        shown("swept_quality"),
    log:
        "logs/{study}/names/swept_quality_{corpus}_{language}_{site}_{variant}.log",
    params:
        to=stored("swept_quality"),


use rule source as swept_spliced with:
    input:
        made("swept_spliced"),
    output:
        shown("swept_spliced"),
    log:
        "logs/{study}/names/swept_spliced_{corpus}_{language}_{site}_{variant}.log",
    params:
        to=stored("swept_spliced"),


use rule source as sweep with:
    input:
        made("sweep"),
    output:
        shown("sweep"),
    log:
        "logs/{study}/names/sweep_{corpus}_{site}.log",
    params:
        to=stored("sweep"),


use rule source as sweep_figure with:
    input:
        made("sweep_figure"),
    output:
        pictured("sweep_figure", "{study}, layer {site}"),
    log:
        "logs/{study}/names/sweep_figure_{corpus}_{site}.log",
    params:
        to=stored("sweep_figure"),
