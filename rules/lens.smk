# What the model would say if it ended earlier.


rule fit_lenses:
    """dataset, texts, model, collection, source -> lens/tuned"""
    input:
        needed("fit_lenses"),
    output:
        temp(touch(done("fit_lenses"))),
    log:
        logged("fit_lenses"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("fit_lenses"),
        runtime=minutes("fit_lenses"),
        gpu=1,
    params:
        job=job("fit_lenses"),
    message:
        "{wildcards.study}: the tuned lens [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/fit_lenses.py"


rule read_lenses:
    """lenses, dataset, texts, model, collection, source -> lens/{language}"""
    input:
        needed("read_lenses"),
    output:
        temp(touch(done("read_lenses"))),
    log:
        logged("read_lenses"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("read_lenses"),
        runtime=minutes("read_lenses"),
        gpu=1,
    params:
        job=job("read_lenses"),
    message:
        "{wildcards.study}: gender that lenses read, {wildcards.language} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/read_lenses.py"


rule draw_lens_figure:
    """lens_reading -> figures"""
    input:
        needed("draw_lens_figure"),
    output:
        temp(touch(done("draw_lens_figure"))),
    log:
        logged("draw_lens_figure"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_lens_figure"),
        runtime=minutes("draw_lens_figure"),
    params:
        job=job("draw_lens_figure"),
    message:
        "{wildcards.study}: figure of the lenses"
    script:
        "../workflow/scripts/draw_lens_figure.py"


rule measure_attention:
    """dataset, texts, model, collection, source -> attention/{language}"""
    input:
        needed("measure_attention"),
    output:
        temp(touch(done("measure_attention"))),
    log:
        logged("measure_attention"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("measure_attention"),
        runtime=minutes("measure_attention"),
        gpu=1,
    params:
        job=job("measure_attention"),
    message:
        "{wildcards.study}: where heads look, {wildcards.language} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/measure_attention.py"


rule draw_attention_figure:
    """attention, collection, source -> figures"""
    input:
        needed("draw_attention_figure"),
    output:
        temp(touch(done("draw_attention_figure"))),
    log:
        logged("draw_attention_figure"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("draw_attention_figure"),
        runtime=minutes("draw_attention_figure"),
    params:
        job=job("draw_attention_figure"),
    message:
        "{wildcards.study}: figures of where heads look"
    script:
        "../workflow/scripts/draw_attention_figure.py"
