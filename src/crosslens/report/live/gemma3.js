/* The text half of Gemma-3, with a key-value cache, and taps that read or change its states. */
(function (Live) {
  "use strict";
  const { linear, rmsNorm, gelu, addInto, attend } = Live;

  /** Keys and values of every block for the positions seen so far. */
  Live.KeyValueCache = class {
    constructor(blocks, width) {
      this.width = width;
      this.keys = Array.from({ length: blocks }, () => new Float32Array(64 * width));
      this.values = this.keys.map((keys) => keys.slice());
    }

    clone() {
      const copy = Object.create(Object.getPrototypeOf(this));
      const [keys, values] = [this.keys, this.values].map((store) => store.map((block) => block.slice()));
      return Object.assign(copy, { width: this.width, keys, values });
    }

    /** Write rows of keys and values from position `start` on. */
    write(block, start, keys, values) {
      const end = start * this.width + keys.length;
      if (end > this.keys[block].length) {
        for (const store of [this.keys, this.values]) {
          const larger = new Float32Array(2 * end);
          larger.set(store[block]);
          store[block] = larger;
        }
      }
      this.keys[block].set(keys, start * this.width);
      this.values[block].set(values, start * this.width);
    }
  };

  Live.Gemma3Text = class {
    /** config: the whole config.json; tensors: named as crosslens.report.live.weights names them. */
    constructor(config, tensors) {
      const text = (this.config = config.text_config);
      this.embedding = tensors["text.embed_tokens.weight"];
      this.head = tensors["head.weight"] ?? this.embedding; // tied where there is none
      this.norm = tensors["text.norm.weight"];
      this.width = text.hidden_size;
      this.cacheWidth = text.num_key_value_heads * text.head_dim;
      this.blocks = text.layer_types.map((type, i) => {
        const get = (name) => tensors[`text.layers.${i}.${name}.weight`];
        return {
          type,
          query: get("self_attn.q_proj"), key: get("self_attn.k_proj"), value: get("self_attn.v_proj"),
          out: get("self_attn.o_proj"), queryNorm: get("self_attn.q_norm"), keyNorm: get("self_attn.k_norm"),
          beforeAttention: get("input_layernorm"), afterAttention: get("post_attention_layernorm"),
          beforeMlp: get("pre_feedforward_layernorm"), afterMlp: get("post_feedforward_layernorm"),
          gate: get("mlp.gate_proj"), up: get("mlp.up_proj"), down: get("mlp.down_proj"),
        };
      });
      this.frequencies = {};
      for (const type of new Set(text.layer_types)) this.frequencies[type] = frequencies(text, type);
      this.scale = text.query_pre_attn_scalar ** -0.5; // not head_dim, although they often agree
    }

    newCache() {
      return new Live.KeyValueCache(this.blocks.length, this.cacheWidth);
    }

    /** Word embeddings (ids, width), scaled by the root of the width. */
    embed(ids) {
      const x = new Float32Array(ids.length * this.width);
      const scale = Math.fround(Math.sqrt(this.width));
      ids.forEach((id, row) => {
        for (let i = 0; i < this.width; i++) x[row * this.width + i] = this.embedding.data[id * this.width + i] * scale;
      });
      return x;
    }

    /**
     * Run the blocks over x (rows, width), in place: the residual stream of the positions start, start + 1, …
     *
     * first: the block to begin with, where x is what goes into it. reach: the last position that each row attends to;
     * its own where not given, the end of the picture for a picture's tokens. at(kind, block, x, start): called with the value
     * of every site (resid_pre, attn_out, mlp_out, resid_post; the halves' as they are added), which it may change.
     */
    run(x, start, cache, { first = 0, reach = null, at = () => {} } = {}) {
      const { rms_norm_eps: eps } = this.config;
      const rotations = {};
      for (const type in this.frequencies) rotations[type] = this.rotations(type, start, x.length / this.width);
      for (let b = first; b < this.blocks.length; b++) {
        const block = this.blocks[b];
        at("resid_pre", b, x, start);
        const mixed = this.attention(b, rmsNorm(x, block.beforeAttention, eps), start, cache, reach, rotations[block.type]);
        const attended = rmsNorm(mixed, block.afterAttention, eps);
        at("attn_out", b, attended, start);
        addInto(x, attended);
        const inner = rmsNorm(x, block.beforeMlp, eps);
        const gate = linear(inner, block.gate);
        const up = linear(inner, block.up);
        for (let i = 0; i < gate.length; i++) gate[i] = gelu(gate[i]) * up[i];
        const computed = rmsNorm(linear(gate, block.down), block.afterMlp, eps);
        at("mlp_out", b, computed, start);
        addInto(x, computed);
        at("resid_post", b, x, start);
      }
    }

    attention(b, x, start, cache, reach, rotations) {
      const { head_dim: size, num_attention_heads: heads, num_key_value_heads: keyHeads } = this.config;
      const { rms_norm_eps: eps, sliding_window: window } = this.config;
      const block = this.blocks[b];
      // Norms of queries and keys are per head: rows of head_dim numbers.
      const query = rmsNorm(linear(x, block.query), block.queryNorm, eps);
      const key = rmsNorm(linear(x, block.key), block.keyNorm, eps);
      rotate(query, heads, size, rotations);
      rotate(key, keyHeads, size, rotations);
      cache.write(b, start, key, linear(x, block.value));
      const mixed = new Float32Array(query.length);
      for (let row = 0; row < x.length / this.width; row++) {
        const position = start + row;
        // The window bounds what lies behind, also for a picture's tokens; it does not bound what lies ahead.
        const low = block.type === "sliding_attention" ? Math.max(0, position - window + 1) : 0;
        const high = reach ? reach[row] : position;
        for (let head = 0; head < heads; head++) {
          const at = (row * heads + head) * size;
          const keyAt = Math.floor(head / (heads / keyHeads)) * size;
          attend(query, at, cache.keys[b], cache.values[b], this.cacheWidth, keyAt, size, low, high, this.scale, mixed, at);
        }
      }
      return linear(mixed, block.out);
    }

    /** Cosines and sines (rows, head_dim / 2) of the positions from start on. */
    rotations(type, start, rows) {
      const speed = this.frequencies[type];
      const cos = new Float32Array(rows * speed.length);
      const sin = new Float32Array(rows * speed.length);
      for (let i = 0; i < cos.length; i++) {
        const angle = Math.fround((start + Math.floor(i / speed.length)) * speed[i % speed.length]);
        cos[i] = Math.cos(angle);
        sin[i] = Math.sin(angle);
      }
      return { cos, sin };
    }

    /** Scores of the next token from one row of x, the last block's output. */
    logits(x, row) {
      const last = rmsNorm(x.subarray(row * this.width, (row + 1) * this.width), this.norm, this.config.rms_norm_eps);
      return linear(last, this.head);
    }
  };

  /** Rotary speeds of one type of block; "linear" stretches positions, 8 times on the full blocks of the larger Gemma-3s. */
  function frequencies(config, type) {
    const rope = config.rope_parameters[type];
    const half = config.head_dim / 2;
    return Float32Array.from({ length: half }, (_, i) => 1 / rope.rope_theta ** (i / half) / (rope.factor ?? 1));
  }

  /** Turn each head of each row; numbers i and i + size / 2 are a pair (not 2 i and 2 i + 1). */
  function rotate(x, heads, size, { cos, sin }) {
    const half = size / 2;
    for (let at = 0; at < x.length; at += size) {
      const angle = Math.floor(at / (heads * size)) * half;
      for (let i = 0; i < half; i++) {
        const a = x[at + i], b = x[at + half + i];
        x[at + i] = a * cos[angle + i] - b * sin[angle + i];
        x[at + half + i] = b * cos[angle + i] + a * sin[angle + i];
      }
    }
  }
})(globalThis.Live);
