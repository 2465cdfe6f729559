# A model that no folder holds yet: a GGUF file, or one that Python packages carry, as a folder like a published model.


rule prepare_model:
    """the settings -> model/{model}"""
    output:
        temp(touch(done("prepare_model"))),
    log:
        logged("prepare_model"),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=megabytes("prepare_model"),
        runtime=minutes("prepare_model"),
    params:
        job=job("prepare_model"),
    message:
        "{wildcards.study}: the model {wildcards.model}, from GGUF to bfloat16 safetensors"
    script:
        "../workflow/scripts/prepare_model.py"
