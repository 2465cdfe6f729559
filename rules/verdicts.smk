# Statements of claims/, tried on a study, on others and beside its controls.


rule judge_claims:
    """summary -> verdicts.json"""
    input:
        needed("judge_claims"),
    output:
        temp(touch(done("judge_claims"))),
    log:
        logged("judge_claims"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("judge_claims"),
        runtime=minutes("judge_claims"),
    params:
        job=job("judge_claims"),
    message:
        "{wildcards.study}: which claims live"
    script:
        "../workflow/scripts/judge_claims.py"
