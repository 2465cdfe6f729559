# What the model writes while a feature is held at a constant.


rule clamp_features:
    """sae, codes, tokens, texts, model -> interventions/clamp/{corpus}/layer_{site}.json"""
    input:
        needed("clamp_features"),
    output:
        temp(touch(done("clamp_features"))),
    log:
        logged("clamp_features"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("clamp_features"),
        runtime=minutes("clamp_features"),
        gpu=1,
    params:
        job=job("clamp_features"),
    message:
        "{wildcards.study}: features of the {wildcards.corpus} SAE clamped, layer {wildcards.site} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/clamp_features.py"
