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
        runtime=minutes("draw_maps"),
    params:
        job=job("draw_maps"),
    message:
        "{wildcards.study}: samples and decoder rows in the plane, layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_maps.py"


rule measure_geometry:
    """dataset, texts, tokens, activations, codes, sae, features, gender -> geometry/dimensions/layer_{site}.json and geometry/information/{corpus}/{language}/layer_{site}.json and geometry/dictionary/{corpus}/layer_{site}.json"""
    input:
        needed("measure_geometry"),
    output:
        temp(touch(done("measure_geometry"))),
    log:
        logged("measure_geometry"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("measure_geometry"),
        runtime=minutes("measure_geometry"),
    params:
        job=job("measure_geometry"),
    message:
        "{wildcards.study}: directions in use, bits of gender and clusters, layer {wildcards.site}"
    script:
        "../workflow/scripts/measure_geometry.py"


rule measure_circuits:
    """model -> geometry/circuits.json"""
    input:
        needed("measure_circuits"),
    output:
        temp(touch(done("measure_circuits"))),
    log:
        logged("measure_circuits"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("measure_circuits"),
        runtime=minutes("measure_circuits"),
    params:
        job=job("measure_circuits"),
    message:
        "{wildcards.study}: circuits of the model's heads"
    script:
        "../workflow/scripts/measure_circuits.py"


rule draw_geometry:
    """layer, circuits -> figures"""
    input:
        needed("draw_geometry"),
    output:
        temp(touch(done("draw_geometry"))),
    log:
        logged("draw_geometry"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_geometry"),
        runtime=minutes("draw_geometry"),
    params:
        job=job("draw_geometry"),
    message:
        "{wildcards.study}: directions in use and circuits over the layers"
    script:
        "../workflow/scripts/draw_geometry.py"
