# Labels of features in words, and what they are worth.


rule describe_features:
    """texts, dataset, codes, tokens, features, gender -> descriptions/{corpus}/examples/layer_{site}.json and descriptions/{corpus}/ngrams/layer_{site}.json"""
    input:
        needed("describe_features"),
    output:
        temp(touch(done("describe_features"))),
    log:
        logged("describe_features"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("describe_features"),
        runtime=minutes("describe_features"),
    params:
        job=job("describe_features"),
    message:
        "{wildcards.study}: texts and words of the features of the {wildcards.corpus} SAE, layer {wildcards.site}"
    script:
        "../workflow/scripts/describe_features.py"


rule ask_endpoint:
    """described -> descriptions/{corpus}/answers/labels/layer_{site}.json and descriptions/{corpus}/answers/detections/layer_{site}.json"""
    input:
        needed("ask_endpoint"),
    output:
        temp(touch(done("ask_endpoint"))),
    log:
        logged("ask_endpoint"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("ask_endpoint"),
        runtime=minutes("ask_endpoint"),
    params:
        job=job("ask_endpoint"),
    message:
        "{wildcards.study}: a model is asked what the features of the {wildcards.corpus} SAE stand for, layer {wildcards.site}"
    script:
        "../workflow/scripts/ask_endpoint.py"


rule score_labels:
    """described, ngram_labels, asked_labels, asked_detections -> descriptions/{corpus}/layer_{site}.json"""
    input:
        needed("score_labels"),
    output:
        temp(touch(done("score_labels"))),
    log:
        logged("score_labels"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("score_labels"),
        runtime=minutes("score_labels"),
    params:
        job=job("score_labels"),
    message:
        "{wildcards.study}: what labels of the {wildcards.corpus} SAE tell, layer {wildcards.site}"
    script:
        "../workflow/scripts/score_labels.py"
