# A study beside its controls, which are studies of their own.


rule compare_controls:
    """summary -> controls.json"""
    input:
        needed("compare_controls"),
    output:
        temp(touch(done("compare_controls"))),
    log:
        logged("compare_controls"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("compare_controls"),
        runtime=minutes("compare_controls"),
    params:
        job=job("compare_controls"),
    message:
        "{wildcards.study}: the study beside its controls"
    script:
        "../workflow/scripts/compare_controls.py"


rule draw_controls:
    """controls -> figures"""
    input:
        needed("draw_controls"),
    output:
        temp(touch(done("draw_controls"))),
    log:
        logged("draw_controls"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_controls"),
        runtime=minutes("draw_controls"),
    params:
        job=job("draw_controls"),
    message:
        "{wildcards.study}: figure of the study beside its controls"
    script:
        "../workflow/scripts/draw_controls.py"
