# One layer's summary, the figures and the page.


rule layer_summary:
    """activations, sae, quality, spliced, features, retrieval, gender, probe_codes, probe_activations, cross_lingual, gender_transfer -> layers/{site}.json"""
    input:
        needed("layer_summary"),
    output:
        temp(touch(done("layer_summary"))),
    log:
        logged("layer_summary"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("layer_summary"),
        runtime=30,
    params:
        job=job("layer_summary"),
    message:
        "{wildcards.study}: summary of layer {wildcards.site}"
    script:
        "../workflow/scripts/layer_summary.py"


rule study_summary:
    """layer, stereotype -> summary.json"""
    input:
        needed("study_summary"),
    output:
        temp(touch(done("study_summary"))),
    log:
        logged("study_summary"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("study_summary"),
        runtime=30,
    params:
        job=job("study_summary"),
    message:
        "{wildcards.study}: summary of all layers"
    script:
        "../workflow/scripts/study_summary.py"


rule draw_layer_figures:
    """sae, quality, gender, cross_lingual -> figures/layer_{site} and figures/layer_{site}"""
    input:
        needed("draw_layer_figures"),
    output:
        temp(touch(done("draw_layer_figures"))),
    log:
        logged("draw_layer_figures"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_layer_figures"),
        runtime=30,
    params:
        job=job("draw_layer_figures"),
    message:
        "{wildcards.study}: figures of layer {wildcards.site}"
    script:
        "../workflow/scripts/draw_layer_figures.py"


rule draw_study_figures:
    """layer, stereotype -> figures and figures"""
    input:
        needed("draw_study_figures"),
    output:
        temp(touch(done("draw_study_figures"))),
    log:
        logged("draw_study_figures"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_study_figures"),
        runtime=30,
    params:
        job=job("draw_study_figures"),
    message:
        "{wildcards.study}: figures over the layers"
    script:
        "../workflow/scripts/draw_study_figures.py"


rule write_feature_pages:
    """dashboards, features, gender, gender_robustness, sharing, matching, counterparts, promoted, steering, ablation, feature_patching, summary, model_comparison, dataset, texts -> report/features"""
    input:
        needed("write_feature_pages"),
    output:
        temp(touch(done("write_feature_pages"))),
    log:
        logged("write_feature_pages"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("write_feature_pages"),
        runtime=120,
    params:
        job=job("write_feature_pages"),
    message:
        "{wildcards.study}: a page for every feature"
    script:
        "../workflow/scripts/write_feature_pages.py"


rule build_report:
    """texts_metadata, texts_summary, features, feature_pages, summary, layer_figures, study_figures, dataset_summary, gendered_examples, gender_layer_figures, gender_figures, stereotype, sweep, sweep_figure -> report/index.html"""
    input:
        needed("build_report"),
    output:
        temp(touch(done("build_report"))),
    log:
        logged("build_report"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("build_report"),
        runtime=30,
    params:
        job=job("build_report"),
    message:
        "{wildcards.study}: the report"
    script:
        "../workflow/scripts/build_report.py"


rule pack_live_page:
    """dataset, tokens, sae, promoted, codes, gender, source -> report/live"""
    input:
        needed("pack_live_page"),
    output:
        temp(touch(done("pack_live_page"))),
    log:
        logged("pack_live_page"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("pack_live_page"),
        runtime=60,
    params:
        job=job("pack_live_page"),
    message:
        "{wildcards.study}: the page that runs the model"
    script:
        "../workflow/scripts/pack_live_page.py"
