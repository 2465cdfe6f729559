# Gender: effect sizes, probes, the languages compared, and the model's own captions of ambiguous pictures.


localrules:
    gender,
    gendered_examples,
    probe_codes,
    probe_activations,
    cross_lingual,
    generated,
    stereotype,


rule gender_effects:
    input:
        needed("gender"),
    output:
        temp(touch(done("gender"))),
    log:
        "logs/{study}/gender_effects_{corpus}_{language}_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("gender_effects", w) * attempt,
        runtime=120,
    params:
        job=job("gender"),
    message:
        "{wildcards.study}: gender effect sizes, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/gender_effects.py"


rule find_gendered_examples:
    input:
        needed("gendered_examples"),
    output:
        temp(touch(done("gendered_examples"))),
    log:
        "logs/{study}/find_gendered_examples_{corpus}_{language}_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("find_gendered_examples", w) * attempt,
        runtime=120,
    params:
        job=job("gendered_examples"),
    message:
        "{wildcards.study}: examples of gendered features, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/find_gendered_examples.py"


rule fit_probe_codes:
    input:
        needed("probe_codes"),
    output:
        temp(touch(done("probe_codes"))),
    log:
        "logs/{study}/fit_probe_codes_{corpus}_{language}_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("fit_probe_codes", w) * attempt,
        runtime=120,
    params:
        job=job("probe_codes"),
    message:
        "{wildcards.study}: gender probe on codes, {wildcards.corpus} SAE, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/fit_probe_codes.py"


rule fit_probe_activations:
    input:
        needed("probe_activations"),
    output:
        temp(touch(done("probe_activations"))),
    log:
        "logs/{study}/fit_probe_activations_{language}_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("fit_probe_activations", w) * attempt,
        runtime=120,
    params:
        job=job("probe_activations"),
    message:
        "{wildcards.study}: gender probe on activations, {wildcards.language}, layer {wildcards.site}"
    script:
        "../workflow/scripts/fit_probe_activations.py"


rule compare_languages:
    input:
        needed("cross_lingual"),
    output:
        temp(touch(done("cross_lingual"))),
    log:
        "logs/{study}/compare_languages_{corpus}_{site}.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("compare_languages", w) * attempt,
        runtime=120,
    params:
        job=job("cross_lingual"),
    message:
        "{wildcards.study}: gender effects of the languages compared, {wildcards.corpus} SAE, layer {wildcards.site}"
    script:
        "../workflow/scripts/compare_languages.py"


rule generate_captions:
    input:
        needed("generated"),
    output:
        temp(touch(done("generated"))),
    log:
        "logs/{study}/generate_captions_{language}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("generate_captions", w) * attempt,
        runtime=480,
        gpu=1,
    params:
        job=job("generated", local=model_place),
    message:
        "{wildcards.study}: captions by the model itself, {wildcards.language} [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/generate_captions.py"


rule measure_stereotype:
    input:
        needed("stereotype"),
    output:
        temp(touch(done("stereotype"))),
    log:
        "logs/{study}/measure_stereotype.log",
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("measure_stereotype", w) * attempt,
        runtime=60,
    params:
        job=job("stereotype", local=data_place),
    message:
        "{wildcards.study}: gendered share per occupation"
    script:
        "../workflow/scripts/measure_stereotype.py"


use rule source as gender with:
    input:
        made("gender"),
    output:
        shown("gender"),
    log:
        "logs/{study}/names/gender_{corpus}_{language}_{site}.log",
    params:
        to=stored("gender"),


use rule source as gendered_examples with:
    input:
        made("gendered_examples"),
    output:
        shown("gendered_examples"),
    log:
        "logs/{study}/names/gendered_examples_{corpus}_{language}_{site}.log",
    params:
        to=stored("gendered_examples"),


use rule source as probe_codes with:
    input:
        made("probe_codes"),
    output:
        shown("probe_codes"),
    log:
        "logs/{study}/names/probe_codes_{corpus}_{language}_{site}.log",
    params:
        to=stored("probe_codes"),


use rule source as probe_activations with:
    input:
        made("probe_activations"),
    output:
        shown("probe_activations"),
    log:
        "logs/{study}/names/probe_activations_{language}_{site}.log",
    params:
        to=stored("probe_activations"),


use rule source as cross_lingual with:
    input:
        made("cross_lingual"),
    output:
        shown("cross_lingual"),
    log:
        "logs/{study}/names/cross_lingual_{corpus}_{site}.log",
    params:
        to=stored("cross_lingual"),


use rule source as generated with:
    input:
        made("generated"),
    output:
        shown("generated"),
    log:
        "logs/{study}/names/generated_{language}.log",
    params:
        to=stored("generated"),


use rule source as stereotype with:
    input:
        made("stereotype"),
    output:
        shown("stereotype"),
    log:
        "logs/{study}/names/stereotype.log",
    params:
        to=stored("stereotype"),
