// Adaptive instance normalization on features, as in course_lib/networks/feature_transforms.py.

const EPS = 1e-5;  // added to the photograph's variance, so that a constant channel is not divided by zero

// The mean and the standard deviation of every channel of {data, width, height}.
export function statistics({data, width, height}) {
  const area = width * height;
  const channels = data.length / area;
  const [mean, std] = [new Float64Array(channels), new Float64Array(channels)];
  for (let c = 0; c < channels; c++) {
    const channel = data.subarray(c * area, (c + 1) * area);
    let sum = 0;
    for (const value of channel) sum += value;
    mean[c] = sum / area;
    let squares = 0;
    for (const value of channel) squares += (value - mean[c]) ** 2;
    std[c] = Math.sqrt(squares / area);
  }
  return {mean, std};
}

// A mixture of paintings: means of their statistics. A mean of features that were normalized to each gives the same.
export function mixture(paintings, shares) {
  const mean = paintings[0].mean.map((_, c) => shares.reduce((sum, share, k) => sum + share * paintings[k].mean[c], 0));
  const std = paintings[0].std.map((_, c) => shares.reduce((sum, share, k) => sum + share * paintings[k].std[c], 0));
  return {mean, std};
}

// alpha · (σ(s) (c − μ(c)) / σ(c) + μ(s)) + (1 − alpha) · c
export function restyled({data, width, height}, own, style, alpha) {
  const area = width * height;
  const found = new Float32Array(data.length);
  own.mean.forEach((mean, c) => {
    const scale = alpha * style.std[c] / Math.sqrt(own.std[c] ** 2 + EPS) + (1 - alpha);
    const shift = alpha * style.mean[c] + (1 - alpha) * mean;
    for (let k = c * area; k < (c + 1) * area; k++) found[k] = (data[k] - mean) * scale + shift;
  });
  return {data: found, width, height};
}
