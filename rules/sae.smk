# Sparse autoencoders: all that a site trains in one reading of its activations, and those of others.


localrules:
    sae,
    swept_sae,
    pretrained,


rule train_saes:
    input:
        needed("sae"),
    output:
        temp(touch(done("sae"))),
    log:
        "logs/{study}/train_saes_{site}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("train_saes", w) * attempt,
        runtime=480,
        gpu=1,
    params:
        job=job("sae", local=training_place),
    message:
        "{wildcards.study}: SAEs of layer {wildcards.site} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/train_saes.py"


use rule source as sae with:
    input:
        made("sae"),
    output:
        shown("sae"),
    log:
        "logs/{study}/names/sae_{corpus}_{site}_{seed}.log",
    params:
        to=stored("sae"),


use rule source as swept_sae with:
    input:
        made("swept_sae", by="sae"),
    output:
        shown("swept_sae"),
    log:
        "logs/{study}/names/swept_sae_{corpus}_{site}_{variant}.log",
    params:
        to=stored("swept_sae"),


rule adopt_sae:
    output:
        temp(touch(done("pretrained"))),
    log:
        "logs/{study}/adopt_sae_{corpus}_{site}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("adopt_sae", w) * attempt,
        runtime=60,
    params:
        job=job("pretrained", local=pretrained_place),
    message:
        "{wildcards.study}: pretrained SAE {wildcards.corpus}, layer {wildcards.site}"
    script:
        "../workflow/scripts/adopt_sae.py"


use rule source as pretrained with:
    input:
        made("pretrained"),
    output:
        shown("pretrained"),
    log:
        "logs/{study}/names/pretrained_{corpus}_{site}.log",
    params:
        to=stored("pretrained"),
