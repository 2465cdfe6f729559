# Optional: how often each method is right, by grafts of known effect in the embedded model (docs/certificate.md).


rule certificate:
    output:
        page="results/certificate/index.html",
        document="results/certificate/certificate.json",
        estimates="results/certificate/estimates.parquet",
        directions="results/certificate/directions.parquet",
        calls="results/certificate/calls.parquet",
    log:
        "logs/certificate.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 3000 * attempt,
        runtime=lambda w, attempt: 480 * attempt,
    params:
        folder=subpath(output.page, parent=True),
    message:
        "grafts of known effect in the embedded model, and what every method says of them"
    shell:
        f"{sys.executable} -m crosslens.certificate --models resources --out {{params.folder}} --cases 2 --ig 2 --saes 5 > {{log}} 2>&1"
