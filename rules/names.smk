# Every artifact's place under results/: a link into the store, made once its work job has ended.
for kind in table.kinds:

    rule:
        name:
            kind
        input:
            made(kind),
        output:
            shown(kind),
        log:
            name_log(kind),
        localrule: True
        conda:
            "../envs/analysis.yaml"
        params:
            to=stored(kind),
        message:
            "{output}"
        shell:
            LINK
