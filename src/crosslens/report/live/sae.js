/* Sparse autoencoders in SAELens' layout. */
(function (Live) {
  "use strict";

  Live.SparseAutoencoder = class {
    /** cfg: the parsed cfg.json; tensors: of sae_weights.safetensors. It takes raw activations. */
    constructor(cfg, tensors) {
      this.cfg = cfg;
      this.encoder = Live.transpose(tensors.W_enc);
      this.encoderBias = tensors.b_enc;
      this.decoder = tensors.W_dec.data;
      this.decoderBias = tensors.b_dec.data;
      this.threshold = tensors.threshold?.data;
    }

    /** The decoder row of a feature: the direction that it writes. */
    direction(feature) {
      return this.decoder.subarray(feature * this.cfg.d_in, (feature + 1) * this.cfg.d_in);
    }

    /**
     * What fires on each row of raw activations x (rows, d_in): Maps of feature to value, strongest first, each with the
     * `scale` by which its decoder rows are multiplied.
     */
    encode(x) {
      const width = this.cfg.d_in;
      const centred = new Float32Array(x.length);
      const scales = [];
      for (let at = 0; at < x.length; at += width) {
        const { scale, shift, divisor } = normalisation(x.subarray(at, at + width), this.cfg.normalize_activations);
        scales.push(scale);
        for (let i = 0; i < width; i++) {
          centred[at + i] = (x[at + i] - shift) / divisor - (this.cfg.apply_b_dec_to_input ? this.decoderBias[i] : 0);
        }
      }
      const pre = Live.linear(centred, this.encoder, this.encoderBias);
      return scales.map((scale, row) => {
        const own = pre.subarray(row * this.cfg.d_sae, (row + 1) * this.cfg.d_sae);
        const active = [];
        for (let f = 0; f < own.length; f++) if (own[f] > Math.max(0, this.threshold?.[f] ?? 0)) active.push(f);
        active.sort((a, b) => own[b] - own[a]);
        if (this.cfg.architecture === "topk") active.length = Math.min(active.length, this.cfg.k);
        return Object.assign(new Map(active.map((feature) => [feature, own[feature]])), { scale });
      });
    }
  };

  /** How a token x is brought to a common norm or mean before encoding; scale takes what is written back. */
  function normalisation(x, how) {
    const mean = () => x.reduce((sum, v) => sum + v, 0) / x.length;
    switch (how) {
      case "none":
        return { scale: 1, shift: 0, divisor: 1 };
      case "channel_mean":
        return { scale: 1, shift: mean(), divisor: 1 };
      case "constant_norm_rescale": {
        const scale = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);
        return { scale, shift: 0, divisor: scale };
      }
      case "layer_norm": {
        const shift = mean();
        const scale = Math.sqrt(x.reduce((sum, v) => sum + (v - shift) ** 2, 0) / (x.length - 1));
        return { scale, shift, divisor: scale + 1e-5 };
      }
    }
    throw new Error(`normalize_activations ${how}`);
  }
})(globalThis.Live);
