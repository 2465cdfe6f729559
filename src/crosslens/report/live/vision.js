/* The SigLIP tower and Gemma-3's projector: a picture becomes a few vectors of the text model's width. */
(function (Live) {
  "use strict";
  const { linear, layerNorm, rmsNorm, gelu, addInto, attend } = Live;

  Live.VisionTower = class {
    /** config: the whole config.json; tensors: named as crosslens.report.live.weights names them; pixels: how bytes are scaled. */
    constructor(config, tensors, pixels) {
      const get = (name) => tensors[`vision.${name}`];
      this.config = config.vision_config;
      this.pixels = pixels;
      this.tokens = config.mm_tokens_per_image;
      const patches = get("embeddings.patch_embedding.weight");
      // A convolution whose stride is its size is a product with every flattened patch.
      this.patchWeight = { shape: [patches.shape[0], patches.data.length / patches.shape[0]], data: patches.data };
      this.patchBias = get("embeddings.patch_embedding.bias");
      this.positions = get("embeddings.position_embedding.weight");
      const part = (name) => ({ weight: get(`${name}.weight`), bias: get(`${name}.bias`) });
      this.blocks = Array.from({ length: this.config.num_hidden_layers }, (_, i) => {
        const of = (name) => part(`encoder.layers.${i}.${name}`);
        return {
          norm1: of("layer_norm1"), norm2: of("layer_norm2"), fc1: of("mlp.fc1"), fc2: of("mlp.fc2"),
          query: of("self_attn.q_proj"), key: of("self_attn.k_proj"), value: of("self_attn.v_proj"),
          out: of("self_attn.out_proj"),
        };
      });
      this.finalNorm = part("post_layernorm");
      // Stored (vision width, text width): the one matrix of the checkpoint that multiplies from the right.
      this.projection = Live.transpose(tensors["projector.mm_input_projection_weight"]);
      this.projectorNorm = tensors["projector.mm_soft_emb_norm.weight"];
    }

    /** RGB bytes (size, size, 3) to (tokens, text width). These vectors are not scaled as word embeddings are. */
    encode(rgb) {
      const { patch_size: patch, layer_norm_eps: eps } = this.config;
      const { size, mean, std, factor } = this.pixels;
      const side = size / patch;
      const cut = new Float32Array(rgb.length);
      let at = 0;
      for (let row = 0; row < side; row++) {
        for (let column = 0; column < side; column++) {
          for (let channel = 0; channel < 3; channel++) {
            for (let y = 0; y < patch; y++) {
              const from = (row * patch + y) * size + column * patch;
              for (let x = 0; x < patch; x++) {
                cut[at++] = (rgb[3 * (from + x) + channel] * factor - mean[channel]) / std[channel];
              }
            }
          }
        }
      }
      const hidden = linear(cut, this.patchWeight, this.patchBias);
      addInto(hidden, this.positions.data);
      for (const block of this.blocks) {
        addInto(hidden, this.attention(block, layerNorm(hidden, block.norm1, eps)));
        const wide = linear(layerNorm(hidden, block.norm2, eps), block.fc1.weight, block.fc1.bias).map(gelu);
        addInto(hidden, linear(wide, block.fc2.weight, block.fc2.bias));
      }
      return this.project(layerNorm(hidden, this.finalNorm, eps), side);
    }

    /** Every patch sees every patch. */
    attention(block, x) {
      const { hidden_size: width, num_attention_heads: heads } = this.config;
      const size = width / heads;
      const [query, key, value] = [block.query, block.key, block.value].map((p) => linear(x, p.weight, p.bias));
      const mixed = new Float32Array(x.length);
      const last = x.length / width - 1;
      for (let at = 0; at < x.length; at += size) {
        attend(query, at, key, value, width, at % width, size, 0, last, size ** -0.5, mixed, at);
      }
      return linear(mixed, block.out.weight, block.out.bias);
    }

    /** Mean over squares of patches, RMS norm (by the vision tower's epsilon), projection to the text model's width. */
    project(x, side) {
      const { hidden_size: width, layer_norm_eps: eps } = this.config;
      const pooledSide = Math.sqrt(this.tokens);
      const square = side / pooledSide;
      const pooled = new Float32Array(this.tokens * width);
      for (let row = 0; row < side; row++) {
        for (let column = 0; column < side; column++) {
          const to = (Math.floor(row / square) * pooledSide + Math.floor(column / square)) * width;
          const from = (row * side + column) * width;
          for (let i = 0; i < width; i++) pooled[to + i] += x[from + i] / (square * square);
        }
      }
      return linear(rmsNorm(pooled, this.projectorNorm, eps), this.projection);
    }
  };
})(globalThis.Live);
