# A model that no folder holds yet: a GGUF file, or one that Python packages carry, as a folder like a published model.


localrules:
    model,


rule prepare_model:
    output:
        temp(touch(done("model"))),
    log:
        "logs/{study}/prepare_model_{model}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: megabytes("prepare_model", w) * attempt,
        runtime=60,
    params:
        job=job("model", local=lambda w: {"source": settings(w, "model")["id"]}),
    message:
        "{wildcards.study}: the model {wildcards.model}, from GGUF to bfloat16 safetensors"
    script:
        "../workflow/scripts/prepare_model.py"


use rule source as model with:
    input:
        made("model"),
    output:
        directory(shown("model")),
    log:
        "logs/{study}/names/model_{model}.log",
    params:
        to=stored("model"),
