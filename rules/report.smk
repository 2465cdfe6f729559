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
        runtime=minutes("layer_summary"),
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
        runtime=minutes("study_summary"),
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
        runtime=minutes("draw_layer_figures"),
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
        runtime=minutes("draw_study_figures"),
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
        runtime=minutes("write_feature_pages"),
    params:
        job=job("write_feature_pages"),
    message:
        "{wildcards.study}: a page for every feature"
    script:
        "../workflow/scripts/write_feature_pages.py"


rule write_plots:
    """layer_figures, study_figures, sharing_figure, map_figures, patching_figures, attention_figure -> report/plots"""
    input:
        needed("write_plots"),
    output:
        temp(touch(done("write_plots"))),
    log:
        logged("write_plots"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("write_plots"),
        runtime=minutes("write_plots"),
    params:
        job=job("write_plots"),
    message:
        "{wildcards.study}: figures to look into"
    script:
        "../workflow/scripts/write_plots.py"


rule build_report:
    """texts_metadata, texts_summary, features, feature_pages, summary, layer_figures, study_figures, dataset_summary, gendered_examples, gender_layer_figures, gender_figures, stereotype, sweep, sweep_figure -> report/index.html, report and report/tables"""
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
        runtime=minutes("build_report"),
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
        runtime=minutes("pack_live_page"),
    params:
        job=job("pack_live_page"),
    message:
        "{wildcards.study}: the page that runs the model"
    script:
        "../workflow/scripts/pack_live_page.py"


rule link_pages:
    """page -> explorer: all pages of a study as files of one folder, which `snakemake --report` takes whole"""
    input:
        "results/{study}/report/index.html",
    output:
        report(
            directory("results/{study}/explorer"),
            htmlindex="index.html",
            caption="../workflow/report/explorer.rst",
            category=STUDY,
            subcategory="{study}",
            labels=lambda w: labels_of("explorer", w)
            | {"shows": "the page, every feature, the model live, and the written summary"},
        ),
    log:
        "logs/{study}/explorer.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    params:
        # links are made anew where these change: what the page is made from, and so every page beside it
        of=lambda w: told(lambda: table.key("page", {"study": w.study})),
    message:
        "{wildcards.study}: all pages in one folder"
    shell:
        command_of("link_pages.py") + " {input:q} {output:q} 2> {log:q}"
