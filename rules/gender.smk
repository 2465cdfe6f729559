# Gender: effect sizes, probes, the languages compared, and the model's own captions of ambiguous pictures.


rule gender_effects:
    """dataset, codes, tokens -> gender/{corpus}/{language}/layer_{site}"""
    input:
        needed("gender_effects"),
    output:
        temp(touch(done("gender_effects"))),
    log:
        logged("gender_effects"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("gender_effects"),
        runtime=120,
    params:
        job=job("gender_effects"),
    message:
        "{wildcards.study}: gender effect sizes, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/gender_effects.py"


rule find_gendered_examples:
    """dataset, codes, tokens, gender -> gender/{corpus}/{language}/examples/layer_{site}.json"""
    input:
        needed("find_gendered_examples"),
    output:
        temp(touch(done("find_gendered_examples"))),
    log:
        logged("find_gendered_examples"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("find_gendered_examples"),
        runtime=120,
    params:
        job=job("find_gendered_examples"),
    message:
        "{wildcards.study}: examples of gendered features, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/find_gendered_examples.py"


rule fit_probe_codes:
    """dataset, codes, tokens -> gender/{corpus}/{language}/probe/layer_{site}.json"""
    input:
        needed("fit_probe_codes"),
    output:
        temp(touch(done("fit_probe_codes"))),
    log:
        logged("fit_probe_codes"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("fit_probe_codes"),
        runtime=120,
    params:
        job=job("fit_probe_codes"),
    message:
        "{wildcards.study}: gender probe on codes, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/fit_probe_codes.py"


rule fit_probe_activations:
    """dataset, tokens, activations -> gender/activations/{language}/probe/layer_{site}.json"""
    input:
        needed("fit_probe_activations"),
    output:
        temp(touch(done("fit_probe_activations"))),
    log:
        logged("fit_probe_activations"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("fit_probe_activations"),
        runtime=120,
    params:
        job=job("fit_probe_activations"),
    message:
        "{wildcards.study}: gender probe on activations, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/fit_probe_activations.py"


rule compare_languages:
    """dataset, codes, tokens, gender -> gender/{corpus}/cross_lingual/layer_{site}.json"""
    input:
        needed("compare_languages"),
    output:
        temp(touch(done("compare_languages"))),
    log:
        logged("compare_languages"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("compare_languages"),
        runtime=120,
    params:
        job=job("compare_languages"),
    message:
        "{wildcards.study}: gender effects of the languages compared, {wildcards.corpus} SAE, layer {wildcards.site}"
    script:
        "../workflow/scripts/compare_languages.py"


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
        runtime=480,
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
        runtime=60,
    params:
        job=job("measure_stereotype"),
    message:
        "{wildcards.study}: gendered share per occupation"
    script:
        "../workflow/scripts/measure_stereotype.py"
