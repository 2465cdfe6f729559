# One forward pass per language and part writes the token table and every layer that the store lacks.


rule extract:
    """texts, model, dataset, collection, source -> activations/{language}/tokens/part_{part}.zarr and activations/{language}/layer_{site}/part_{part}.zarr and activations/{language}/text_alone/layer_{site}/part_{part}.zarr"""
    input:
        needed("extract"),
    output:
        temp(touch(done("extract"))),
    log:
        logged("extract"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("extract"),
        runtime=minutes("extract"),
        gpu=1,
    params:
        job=job("extract"),
    message:
        "{wildcards.study}: activations of {wildcards.language}, part {wildcards.part} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/extract.py"
