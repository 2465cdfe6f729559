# Optional: the embedded model's recipe, which retrains it (about a quarter of an hour on 2 cores) and re-checks its card.


rule planted_model:
    output:
        directory("results/.models/{variant}_seed_{seed}"),
    log:
        "logs/models/{variant}_seed_{seed}.log",
    wildcard_constraints:
        variant="planted|planted_control",
    conda:
        "../envs/torch.yaml"
    threads: 2
    resources:
        mem_mb=lambda w, attempt: 3000 * attempt,
        runtime=lambda w, attempt: 120 * attempt,
    params:
        control=lambda w: "--control" if w.variant == "planted_control" else "",
    message:
        "train the embedded model {wildcards.variant} from nothing, seed {wildcards.seed}, and check its figures"
    shell:
        f"{sys.executable} -m crosslens.planted --out {{output}} --seed {{wildcards.seed}}"
        " {params.control} > {log} 2>&1"
