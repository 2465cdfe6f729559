# What the languages have in common: where pairs are found again, and which way gender points in both.


rule transfer_gender:
    """dataset, tokens, activations -> gender/activations/transfer/layer_{site}.json"""
    input:
        needed("transfer_gender"),
    output:
        temp(touch(done("transfer_gender"))),
    log:
        logged("transfer_gender"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("transfer_gender"),
        runtime=120,
    params:
        job=job("transfer_gender"),
    message:
        "{wildcards.study}: gender from one language to the other, layer {wildcards.site}"
    script:
        "../workflow/scripts/transfer_gender.py"


rule retrieve_captions:
    """dataset, tokens, activations -> alignment/retrieval/layer_{site}.json"""
    input:
        needed("retrieve_captions"),
    output:
        temp(touch(done("retrieve_captions"))),
    log:
        logged("retrieve_captions"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("retrieve_captions"),
        runtime=120,
    params:
        job=job("retrieve_captions"),
    message:
        "{wildcards.study}: captions found again in the other language, layer {wildcards.site}"
    script:
        "../workflow/scripts/retrieve_captions.py"
