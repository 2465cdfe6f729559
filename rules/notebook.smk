# Optional: a notebook of workflow/notebooks on a built study, with what its cells show.


rule explore:
    """page -> notebooks/explore.ipynb"""
    input:
        "results/{study}/report/index.html",
    output:
        "results/{study}/notebooks/explore.ipynb",
    log:
        "logs/{study}/explore.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 3000 * attempt,
        runtime=lambda w, attempt: 60 * attempt,
    params:
        notebook=f"{CHECKOUT}/workflow/notebooks/explore.ipynb",
        # it is run again where these change: what is built, and the notebook
        of=lambda w: told(lambda: table.key("page", {"study": w.study})),
        sha256=content_digest(Path(f"{CHECKOUT}/workflow/notebooks/explore.ipynb")),
    message:
        "{wildcards.study}: the notebook that looks at it, steers it and draws"
    shell:
        f"{sys.executable} -m crosslens.results.notebook {{params.notebook}} --study {{wildcards.study}}"
        " --out {output} > {log} 2>&1"
