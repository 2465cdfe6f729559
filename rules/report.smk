# One layer's summary, the figures and the page.


localrules:
    layer,
    layer_figures,
    gender_layer_figures,
    study_figures,
    gender_figures,
    page,


rule layer_summary:
    input:
        needed("layer"),
    output:
        temp(touch(done("layer"))),
    log:
        "logs/{study}/layer_summary_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("layer_summary", w) * attempt,
        runtime=30,
    params:
        job=job("layer"),
    message:
        "{wildcards.study}: summary of layer {wildcards.site}"
    script:
        "../workflow/scripts/layer_summary.py"


rule draw_layer_figures:
    input:
        needed("layer_figures"),
    output:
        temp(touch(done("layer_figures"))),
    log:
        "logs/{study}/draw_layer_figures_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("draw_layer_figures", w) * attempt,
        runtime=30,
    params:
        job=job("layer_figures"),
    message:
        "{wildcards.study}: figures of layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_layer_figures.py"


rule draw_study_figures:
    input:
        needed("study_figures"),
    output:
        temp(touch(done("study_figures"))),
    log:
        "logs/{study}/draw_study_figures.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("draw_study_figures", w) * attempt,
        runtime=30,
    params:
        job=job("study_figures"),
    message:
        "{wildcards.study}: figures over the layers"
    script:
        "../workflow/scripts/draw_study_figures.py"


rule build_report:
    input:
        needed("page"),
    output:
        temp(touch(done("page"))),
    log:
        "logs/{study}/build_report.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("build_report", w) * attempt,
        runtime=30,
    params:
        job=job("page"),
    message:
        "{wildcards.study}: the report"
    script:
        "../workflow/scripts/build_report.py"


use rule source as layer with:
    input:
        made("layer"),
    output:
        shown("layer"),
    log:
        "logs/{study}/names/layer_{site}.log",
    params:
        to=stored("layer"),


use rule source as layer_figures with:
    input:
        made("layer_figures"),
    output:
        pictured("layer_figures", "{study}, layer {site}"),
    log:
        "logs/{study}/names/layer_figures_{site}.log",
    params:
        to=stored("layer_figures"),


use rule source as gender_layer_figures with:
    input:
        made("gender_layer_figures", by="layer_figures"),
    output:
        pictured("gender_layer_figures", "{study}, layer {site}"),
    log:
        "logs/{study}/names/gender_layer_figures_{site}.log",
    params:
        to=stored("gender_layer_figures"),


use rule source as study_figures with:
    input:
        made("study_figures"),
    output:
        pictured("study_figures", "{study}"),
    log:
        "logs/{study}/names/study_figures.log",
    params:
        to=stored("study_figures"),


use rule source as gender_figures with:
    input:
        made("gender_figures", by="study_figures"),
    output:
        pictured("gender_figures", "{study}"),
    log:
        "logs/{study}/names/gender_figures.log",
    params:
        to=stored("gender_figures"),


use rule source as page with:
    input:
        made("page"),
    output:
        pictured("page", "{study}"),
    log:
        "logs/{study}/names/page.log",
    params:
        to=stored("page"),
