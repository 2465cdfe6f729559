# What the SAEs are worth and what their features do, on tokens they were not trained on.


rule apply_saes:
    """sae, tokens, activations, texts, dataset -> codes/{corpus}/{language}/layer_{site}.zarr and codes/{corpus}/{language}/written/layer_{site}.zarr and codes/{corpus}/{language}/written/layer_{site}/seed_{seed}.zarr and codes/{corpus}/{language}/layer_{site}/seed_{seed}.zarr and quality/{corpus}/{language}/layer_{site}.json"""
    input:
        needed("apply_saes"),
    output:
        temp(touch(done("apply_saes"))),
    log:
        logged("apply_saes"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("apply_saes"),
        runtime=minutes("apply_saes"),
    params:
        job=job("apply_saes"),
    message:
        "{wildcards.study}: codes and quality of the SAEs of layer {wildcards.site}"
    script:
        "../workflow/scripts/apply_saes.py"


rule splice_saes:
    """texts, sae, dataset, model, collection, source -> quality/{corpus}/{language}/spliced/layer_{site}.json"""
    input:
        needed("splice_saes"),
    output:
        temp(touch(done("splice_saes"))),
    log:
        logged("splice_saes"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("splice_saes"),
        runtime=minutes("splice_saes"),
        gpu=1,
    params:
        job=job("splice_saes"),
    message:
        "{wildcards.study}: SAEs of layer {wildcards.site} spliced into the model [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/splice_saes.py"


rule promote_tokens:
    """sae, model -> lens/promoted/{corpus}/layer_{site}"""
    input:
        needed("promote_tokens"),
    output:
        temp(touch(done("promote_tokens"))),
    log:
        logged("promote_tokens"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("promote_tokens"),
        runtime=minutes("promote_tokens"),
        gpu=1,
    params:
        job=job("promote_tokens"),
    message:
        "{wildcards.study}: tokens that the features of layer {wildcards.site} promote [{resources.gpu} GPU, {resources.mem_mb} MB]"
    script:
        "../workflow/scripts/promote_tokens.py"


rule analyse_codes:
    """texts, codes, tokens, gender, dataset, sae, swept_sae -> features/{corpus}/{language}/layer_{site} and features/{corpus}/dashboards/layer_{site} and features/{corpus}/{language}/concepts/layer_{site}.json and alignment/counterparts/{corpus}/layer_{site}.parquet and gender/{corpus}/{language}/layer_{site} and gender/{corpus}/{language}/robustness/layer_{site}.json and gender/{corpus}/{language}/grammar/layer_{site} and gender/{corpus}/{language}/examples/layer_{site}.json and gender/{corpus}/{language}/probe/layer_{site}.json and gender/{corpus}/{language}/written/layer_{site} and gender/{corpus}/{language}/written/robustness/layer_{site}.json and gender/{corpus}/{language}/written/probe/layer_{site}.json and gender/{corpus}/cross_lingual/layer_{site}.json"""
    input:
        needed("analyse_codes"),
    output:
        temp(touch(done("analyse_codes"))),
    log:
        logged("analyse_codes"),
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("analyse_codes"),
        runtime=minutes("analyse_codes"),
    params:
        job=job("analyse_codes"),
    message:
        "{wildcards.study}: what the features of the {wildcards.corpus} SAE do, layer {wildcards.site}"
    script:
        "../workflow/scripts/analyse_codes.py"
