# Pictures and captions: drawn (embedded study), collected from packages, the user's own, or written by the model; to
# one table a language.


rule draw_source:
    """the settings -> source"""
    output:
        temp(touch(done("draw_source"))),
    log:
        logged("draw_source"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_source"),
        runtime=minutes("draw_source"),
    params:
        job=job("draw_source"),
    message:
        "{wildcards.study}: draw the pictures and write the captions"
    script:
        "../workflow/scripts/draw_source.py"


rule collect_source:
    """the settings -> collection"""
    output:
        temp(touch(done("collect_source"))),
    log:
        logged("collect_source"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("collect_source"),
        runtime=minutes("collect_source"),
    params:
        job=job("collect_source"),
    message:
        "{wildcards.study}: names and messages from packages"
    script:
        "../workflow/scripts/collect_source.py"


rule collect_mt_geneval:
    """the settings -> mt_geneval"""
    output:
        temp(touch(done("collect_mt_geneval"))),
    log:
        logged("collect_mt_geneval"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("collect_mt_geneval"),
        runtime=minutes("collect_mt_geneval"),
    params:
        job=job("collect_mt_geneval"),
    message:
        "{wildcards.study}: tagged sentences in two genders as one table"
    script:
        "../workflow/scripts/collect_mt_geneval.py"


rule generate_texts:
    """model -> texts/{language}.parquet and texts/metadata.json and texts/summary.json"""
    input:
        needed("generate_texts"),
    output:
        temp(touch(done("generate_texts"))),
    log:
        logged("generate_texts"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("generate_texts"),
        runtime=minutes("generate_texts"),
        gpu=1,
    params:
        job=job("generate_texts"),
    message:
        "{wildcards.study}: the model answers the prompts [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/generate_texts.py"


rule build_dataset:
    """collection, mt_geneval, source -> dataset/{language}.parquet and dataset/summary.json"""
    input:
        needed("build_dataset"),
    output:
        temp(touch(done("build_dataset"))),
    log:
        logged("build_dataset"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("build_dataset"),
        runtime=minutes("build_dataset"),
    params:
        job=job("build_dataset"),
    message:
        "{wildcards.study}: captions to tables, with labels, splits and quarantine"
    script:
        "../workflow/scripts/build_dataset.py"
