/* The few kernels that the model needs. Matrices are Float32Arrays, row after row; a row is a token or a patch. */
(function (Live) {
  "use strict";

  /**
   * x (rows, in) times the transpose of weight (out, in), plus bias (out) if there is one: a new (rows, out).
   *
   * Tiles of two rows by four outputs: every number that is read serves two or four products, which is about twice as fast in
   * V8 as a plain dot product. Sums are float64, as all arithmetic of JavaScript.
   */
  Live.linear = (x, weight, bias = null) => {
    const [outs, ins] = weight.shape;
    const w = weight.data;
    const rows = x.length / ins;
    const y = new Float32Array(rows * outs);
    for (let row = 0; row < rows; row += 2) {
      const first = row * ins;
      // The last row of an odd number is its own partner.
      const partner = row + 1 < rows ? row + 1 : row;
      const second = partner * ins;
      let out = 0;
      for (; out + 4 <= outs; out += 4) {
        const w0 = out * ins, w1 = w0 + ins, w2 = w1 + ins, w3 = w2 + ins;
        let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
        for (let i = 0; i < ins; i++) {
          const a = x[first + i], b = x[second + i];
          const p = w[w0 + i], q = w[w1 + i], r = w[w2 + i], s = w[w3 + i];
          a0 += a * p; b0 += b * p;
          a1 += a * q; b1 += b * q;
          a2 += a * r; b2 += b * r;
          a3 += a * s; b3 += b * s;
        }
        const to = row * outs + out, other = partner * outs + out;
        y[to] = a0; y[to + 1] = a1; y[to + 2] = a2; y[to + 3] = a3;
        y[other] = b0; y[other + 1] = b1; y[other + 2] = b2; y[other + 3] = b3;
      }
      for (; out < outs; out++) {
        let a = 0, b = 0;
        for (let i = 0; i < ins; i++) {
          a += x[first + i] * w[out * ins + i];
          b += x[second + i] * w[out * ins + i];
        }
        y[row * outs + out] = a;
        y[partner * outs + out] = b;
      }
    }
    if (bias) for (let i = 0; i < y.length; i++) y[i] += bias.data[i % outs];
    return y;
  };

  /** A matrix with rows and columns exchanged: `linear` wants (out, in), some weights are stored (in, out). */
  Live.transpose = ({ shape: [rows, columns], data }) => {
    const turned = new Float32Array(data.length);
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) turned[c * rows + r] = data[r * columns + c];
    return { shape: [columns, rows], data: turned };
  };

  /** Gemma's RMS norm of each row: x / sqrt(mean x² + eps) · (1 + weight). Note the 1: stored weights are around 0. */
  Live.rmsNorm = (x, weight, eps) => {
    const width = weight.data.length;
    const y = new Float32Array(x.length);
    for (let at = 0; at < x.length; at += width) {
      let squares = 0;
      for (let i = 0; i < width; i++) squares += x[at + i] * x[at + i];
      const factor = 1 / Math.sqrt(squares / width + eps);
      for (let i = 0; i < width; i++) y[at + i] = x[at + i] * factor * (1 + weight.data[i]);
    }
    return y;
  };

  /** Ordinary layer norm of each row, with the biased variance. */
  Live.layerNorm = (x, { weight, bias }, eps) => {
    const width = weight.data.length;
    const y = new Float32Array(x.length);
    for (let at = 0; at < x.length; at += width) {
      let sum = 0, squares = 0;
      for (let i = 0; i < width; i++) sum += x[at + i];
      const mean = sum / width;
      for (let i = 0; i < width; i++) squares += (x[at + i] - mean) ** 2;
      const factor = 1 / Math.sqrt(squares / width + eps);
      for (let i = 0; i < width; i++) y[at + i] = (x[at + i] - mean) * factor * weight.data[i] + bias.data[i];
    }
    return y;
  };

  const ROOT = Math.sqrt(2 / Math.PI);

  /** The tanh approximation of GELU, as both the text blocks and the vision tower use it. */
  Live.gelu = (v) => 0.5 * v * (1 + Math.tanh(ROOT * (v + 0.044715 * v * v * v)));

  Live.addInto = (x, y) => {
    for (let i = 0; i < x.length; i++) x[i] += y[i];
  };

  /**
   * One query against the keys of positions low..high, then the weighted sum of their values, written to out.
   *
   * keys, values: rows of keyWidth numbers; a head's part begins at keyAt in each row and has `size` numbers.
   */
  Live.attend = (query, queryAt, keys, values, keyWidth, keyAt, size, low, high, scale, out, outAt) => {
    const weights = new Float64Array(high - low + 1);
    let largest = -Infinity;
    for (let j = low; j <= high; j++) {
      const key = j * keyWidth + keyAt;
      let dot = 0;
      for (let i = 0; i < size; i++) dot += query[queryAt + i] * keys[key + i];
      weights[j - low] = dot * scale;
      if (weights[j - low] > largest) largest = weights[j - low];
    }
    let total = 0;
    for (let j = 0; j < weights.length; j++) total += weights[j] = Math.exp(weights[j] - largest);
    for (let j = low; j <= high; j++) {
      const share = weights[j - low] / total;
      const value = j * keyWidth + keyAt;
      for (let i = 0; i < size; i++) out[outAt + i] += share * values[value + i];
    }
  };

  /** Log-probabilities of logits, in float64. */
  Live.logSoftmax = (logits) => {
    let largest = -Infinity;
    for (const logit of logits) if (logit > largest) largest = logit;
    let total = 0;
    for (const logit of logits) total += Math.exp(logit - largest);
    const norm = largest + Math.log(total);
    return Float64Array.from(logits, (logit) => logit - norm);
  };

  /** The most likely token; of equals the first, as torch.argmax. */
  Live.greedy = (logits) => {
    let best = 0;
    for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
    return best;
  };
})(globalThis.Live);
