# States of one run of the model in the place of another's.


rule patch_activations:
    """dataset, model, collection, source -> interventions/patching"""
    input:
        needed("patch_activations"),
    output:
        temp(touch(done("patch_activations"))),
    log:
        logged("patch_activations"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("patch_activations"),
        runtime=minutes("patch_activations"),
        gpu=1,
    params:
        job=job("patch_activations"),
    message:
        "{wildcards.study}: states of one run patched into another [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/patch_activations.py"


rule draw_patching_figures:
    """patching -> figures"""
    input:
        needed("draw_patching_figures"),
    output:
        temp(touch(done("draw_patching_figures"))),
    log:
        logged("draw_patching_figures"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_patching_figures"),
        runtime=minutes("draw_patching_figures"),
    params:
        job=job("draw_patching_figures"),
    message:
        "{wildcards.study}: figures of patched states"
    script:
        "../workflow/scripts/draw_patching_figures.py"


rule patch_features:
    """sae, dataset, model, collection, source -> interventions/feature_patching/{corpus}/layer_{site}"""
    input:
        needed("patch_features"),
    output:
        temp(touch(done("patch_features"))),
    log:
        logged("patch_features"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("patch_features"),
        runtime=minutes("patch_features"),
        gpu=1,
    params:
        job=job("patch_features"),
    message:
        "{wildcards.study}: features of {wildcards.corpus} at site {wildcards.site} patched into another run [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/patch_features.py"
