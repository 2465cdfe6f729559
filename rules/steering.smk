# What a model says of gender, steered.


rule steer_features:
    """sae, codes, activations, tokens, gender, dataset, model, collection, source -> interventions/steering/{corpus}/layer_{site}"""
    input:
        needed("steer_features"),
    output:
        temp(touch(done("steer_features"))),
    log:
        logged("steer_features"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("steer_features"),
        runtime=minutes("steer_features"),
        gpu=1,
    params:
        job=job("steer_features"),
    message:
        "{wildcards.study}: gender steered by features of the {wildcards.corpus} SAE, layer {wildcards.site} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/steer_features.py"


rule draw_steering_figures:
    """steering -> figures/steering/{corpus}/layer_{site}"""
    input:
        needed("draw_steering_figures"),
    output:
        temp(touch(done("draw_steering_figures"))),
    log:
        logged("draw_steering_figures"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_steering_figures"),
        runtime=minutes("draw_steering_figures"),
    params:
        job=job("draw_steering_figures"),
    message:
        "{wildcards.study}: figures of steering, {wildcards.corpus}, layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_steering_figures.py"
