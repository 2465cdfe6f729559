# The shape of what models and SAEs hold.


rule draw_maps:
    """dataset, texts, tokens, activations, sae, features, gender -> geometry/samples/layer_{site} and geometry/decoders/{corpus}/layer_{site} and figures/layer_{site}"""
    input:
        needed("draw_maps"),
    output:
        temp(touch(done("draw_maps"))),
    log:
        logged("draw_maps"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_maps"),
        runtime=240,
    params:
        job=job("draw_maps"),
    message:
        "{wildcards.study}: samples and decoder rows in the plane, layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_maps.py"
