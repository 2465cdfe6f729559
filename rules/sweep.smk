# A sweep of SAE settings: what each costs and keeps, and which is recommended.


use rule apply_saes as apply_swept_sae with:
    input:
        needed("apply_swept_sae"),
    output:
        temp(touch(done("apply_swept_sae"))),
    log:
        logged("apply_swept_sae"),
    params:
        job=job("apply_swept_sae"),
    message:
        "{wildcards.study}: quality, {wildcards.corpus} SAE {wildcards.variant}, layer {wildcards.site}"


use rule splice_saes as splice_swept_saes with:
    input:
        needed("splice_swept_saes"),
    output:
        temp(touch(done("splice_swept_saes"))),
    log:
        logged("splice_swept_saes"),
    params:
        job=job("splice_swept_saes"),
    message:
        "{wildcards.study}: swept {wildcards.corpus} SAEs of layer {wildcards.site} spliced into the model [{resources.gpu} GPU, {resources.mem_mb} MB]"


rule compare_settings:
    """quality, spliced, swept_quality, swept_spliced -> sweep/{corpus}/layer_{site}.json"""
    input:
        needed("compare_settings"),
    output:
        temp(touch(done("compare_settings"))),
    log:
        logged("compare_settings"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("compare_settings"),
        runtime=minutes("compare_settings"),
    params:
        job=job("compare_settings"),
    message:
        "{wildcards.study}: sweep of SAE settings, {wildcards.corpus}, layer {wildcards.site}"
    script:
        "../workflow/scripts/compare_settings.py"


rule draw_sweep_figure:
    """sweep -> figures/sweep/{corpus}/layer_{site}"""
    input:
        needed("draw_sweep_figure"),
    output:
        temp(touch(done("draw_sweep_figure"))),
    log:
        logged("draw_sweep_figure"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_sweep_figure"),
        runtime=minutes("draw_sweep_figure"),
    params:
        job=job("draw_sweep_figure"),
    message:
        "{wildcards.study}: figure of the sweep, {wildcards.corpus}, layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_sweep_figure.py"
