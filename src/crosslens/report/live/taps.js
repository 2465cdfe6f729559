/* What is read and changed while the model runs, as taps (see Live.Model.run): crosslens.interventions.edits on the page. */
(function (Live) {
  "use strict";

  /** `4` and `4.attn_out` as { block, kind }. */
  Live.siteOf = (name) => {
    const [block, kind = "resid_post"] = name.split(".");
    return { block: Number(block), kind };
  };

  const rowsOf = (x, width) => Array.from({ length: x.length / width }, (_, row) => x.subarray(row * width, (row + 1) * width));

  /** Note on each token what fires there, as `codes`. */
  Live.readCodes = (sae, site, tokens) => ({
    ...site,
    apply: (x, start) => sae.encode(x).forEach((codes, row) => (tokens[start + row].codes = codes)),
  });

  /** Which tokens are edited: of these roles, and no sinks. What is written is text. */
  Live.editedRoles = (roles) => new Set([...roles, "generated"]);

  /** Rows (position, row of x) of the tokens that are edited: their role is one of `roles`, their norm at most `limit`. */
  function edited(x, start, width, { tokens, roles, limit }) {
    return rowsOf(x, width).flatMap((row, i) => {
      if (!roles.has(tokens[start + i].role)) return [];
      return Math.sqrt(row.reduce((sum, v) => sum + v * v, 0)) > limit ? [] : [row];
    });
  }

  /**
   * Features set to 0, and what the SAE does not explain kept: x + decode(z′) − decode(z), of which only the changed
   * features are left.
   */
  Live.suppress = (sae, site, features, where) => ({
    ...site,
    apply(x, start) {
      const rows = edited(x, start, sae.cfg.d_in, where);
      if (!rows.length) return;
      const codes = sae.encode(Float32Array.from(rows.flatMap((row) => [...row])));
      rows.forEach((row, i) => {
        for (const feature of features) {
          const change = -(codes[i].get(feature) ?? 0) * codes[i].scale;
          if (change) add(row, sae.direction(feature), change);
        }
      });
    },
  });

  /** Decoder rows added: strengths, a Map of feature to s; levels, m of each feature; s·m times its row. */
  Live.steer = (sae, site, strengths, levels, where) => ({
    ...site,
    apply(x, start) {
      const scaled = sae.cfg.normalize_activations !== "none";
      for (const row of edited(x, start, sae.cfg.d_in, where)) {
        const scale = scaled ? sae.encode(row)[0].scale : 1; // of the row as it is, before anything is added
        for (const [feature, strength] of strengths) add(row, sae.direction(feature), strength * levels[feature] * scale);
      }
    },
  });

  /** The states of another run in the place of this one's behind a block: pairs of positions, here and there. */
  Live.patch = (block, pairs, other, width) => ({
    block,
    kind: "resid_post",
    apply(x, start) {
      for (const [here, there] of pairs) {
        const row = here - start;
        if (row < 0 || row >= x.length / width) continue;
        x.set(other.into[block + 1].subarray(there * width, (there + 1) * width), row * width);
      }
    },
  });

  function add(row, direction, amount) {
    for (let i = 0; i < row.length; i++) row[i] += amount * direction[i];
  }
})(globalThis.Live);
