# Sparse autoencoders: all that a site trains in one reading of its activations, and those of others.


rule train_saes:
    """texts, tokens, activations, dataset -> sae/{corpus}/layer_{site}/seed_{seed} and sweep/{corpus}/layer_{site}/{variant}"""
    input:
        needed("train_saes"),
    output:
        temp(touch(done("train_saes"))),
    log:
        logged("train_saes"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("train_saes"),
        runtime=minutes("train_saes"),
        gpu=1,
    params:
        job=job("train_saes"),
    message:
        "{wildcards.study}: SAEs of layer {wildcards.site} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/train_saes.py"


rule adopt_sae:
    """the settings -> pretrained/{corpus}/layer_{site}"""
    output:
        temp(touch(done("adopt_sae"))),
    log:
        logged("adopt_sae"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("adopt_sae"),
        runtime=minutes("adopt_sae"),
    params:
        job=job("adopt_sae"),
    message:
        "{wildcards.study}: pretrained SAE {wildcards.corpus}, layer {wildcards.site}"
    script:
        "../workflow/scripts/adopt_sae.py"
