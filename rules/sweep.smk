# A sweep of SAE settings: what each costs and keeps, and which is recommended.


use rule measure_quality as measure_swept_quality with:
    input:
        needed("measure_swept_quality"),
    output:
        temp(touch(done("measure_swept_quality"))),
    log:
        logged("measure_swept_quality"),
    params:
        job=job("measure_swept_quality"),
    message:
        "{wildcards.study}: quality, {wildcards.corpus} SAE {wildcards.variant}, {wildcards.language}, layer {wildcards.site}"


use rule measure_splice as measure_swept_splice with:
    input:
        needed("measure_swept_splice"),
    output:
        temp(touch(done("measure_swept_splice"))),
    log:
        logged("measure_swept_splice"),
    params:
        job=job("measure_swept_splice"),
    message:
        "{wildcards.study}: spliced into the model, {wildcards.corpus} SAE {wildcards.variant}, {wildcards.language}, layer {wildcards.site} [{resources.gpu} GPU, {resources.mem_mb} MB]"


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
        runtime=10,
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
        runtime=10,
    params:
        job=job("draw_sweep_figure"),
    message:
        "{wildcards.study}: figure of the sweep, {wildcards.corpus}, layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_sweep_figure.py"
