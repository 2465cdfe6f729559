# Gender: effect sizes, probes, the languages compared, and the model's own captions of ambiguous pictures.


rule measure_words:
    """dataset, texts -> gender/words/{language}/probe.json and gender/words/{language}/written/probe.json"""
    input:
        needed("measure_words"),
    output:
        temp(touch(done("measure_words"))),
    log:
        logged("measure_words"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("measure_words"),
        runtime=minutes("measure_words"),
    params:
        job=job("measure_words"),
    message:
        "{wildcards.study}: what the words alone tell, {wildcards.language}"
    script:
        "../workflow/scripts/measure_words.py"


rule measure_agreement:
    """dataset, texts, model -> gender/agreement/{language}"""
    input:
        needed("measure_agreement"),
    output:
        temp(touch(done("measure_agreement"))),
    log:
        logged("measure_agreement"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("measure_agreement"),
        runtime=minutes("measure_agreement"),
        gpu=1,
    params:
        job=job("measure_agreement"),
    message:
        "{wildcards.study}: does the model agree with the gender it has read, {wildcards.language} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/measure_agreement.py"


rule write_captions:
    """dataset, source, collection -> written/{language}/part_{part}.parquet"""
    input:
        needed("write_captions"),
    output:
        temp(touch(done("write_captions"))),
    log:
        logged("write_captions"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("write_captions"),
        runtime=minutes("write_captions"),
        gpu=1,
    params:
        job=job("write_captions"),
    message:
        "{wildcards.study}: own captions of the pictures, {wildcards.language}, part {wildcards.part} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/write_captions.py"


rule mask_captions:
    """dataset, written -> written/{language}.parquet"""
    input:
        needed("mask_captions"),
    output:
        temp(touch(done("mask_captions"))),
    log:
        logged("mask_captions"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("mask_captions"),
        runtime=minutes("mask_captions"),
    params:
        job=job("mask_captions"),
    message:
        "{wildcards.study}: words that tell a gender in own captions, {wildcards.language}"
    script:
        "../workflow/scripts/mask_captions.py"


use rule extract as extract_written with:
    input:
        needed("extract_written"),
    output:
        temp(touch(done("extract_written"))),
    log:
        logged("extract_written"),
    params:
        job=job("extract_written"),
    message:
        "{wildcards.study}: activations of own captions, {wildcards.language}, part {wildcards.part} [{resources.gpu} GPU, {resources.mem_mb} MB]"


rule generate_captions:
    """dataset, source, collection -> generated/{language}.parquet"""
    input:
        needed("generate_captions"),
    output:
        temp(touch(done("generate_captions"))),
    log:
        logged("generate_captions"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("generate_captions"),
        runtime=minutes("generate_captions"),
        gpu=1,
    params:
        job=job("generate_captions"),
    message:
        "{wildcards.study}: captions by the model itself, {wildcards.language} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/generate_captions.py"


rule measure_stereotype:
    """generated, source -> gender/stereotype.json"""
    input:
        needed("measure_stereotype"),
    output:
        temp(touch(done("measure_stereotype"))),
    log:
        logged("measure_stereotype"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("measure_stereotype"),
        runtime=minutes("measure_stereotype"),
    params:
        job=job("measure_stereotype"),
    message:
        "{wildcards.study}: gendered share per occupation"
    script:
        "../workflow/scripts/measure_stereotype.py"
