# Sparse autoencoders.


localrules:
    sae,


rule train_sae:
    input:
        needed("sae"),
    output:
        temp(touch(done("sae"))),
    log:
        "logs/{study}/train_sae_{corpus}_{site}_{seed}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: sae_mb(w) * attempt,
        runtime=480,
        gpu=1,
    params:
        job=job("sae", local=model_place),
    message:
        "{wildcards.study}: SAE on {wildcards.corpus}, layer {wildcards.site}, seed {wildcards.seed} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/train_sae.py"


use rule source as sae with:
    input:
        made("sae"),
    output:
        shown("sae"),
    log:
        "logs/{study}/names/sae_{corpus}_{site}_{seed}.log",
    params:
        to=stored("sae"),
