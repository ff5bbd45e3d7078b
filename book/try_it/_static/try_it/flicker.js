// How much a painting changes between two frames where what the camera sees hardly did.

export const CELL = 8;  // pixels, of the squares into which a frame is divided
export const LIMIT = (4 / 255) ** 2;  // mean square change of a square that hardly changed; colors span 0 to 1
export const LEAST = 0.1;  // share of such squares from which on flicker is measured

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// Sums of squared differences of two pictures, and numbers of colors, for each square.
function squares(one, other) {
  const {width, height} = one;
  const [columns, rows] = [Math.ceil(width / CELL), Math.ceil(height / CELL)];
  const [sums, counts] = [new Float64Array(columns * rows), new Float64Array(columns * rows)];
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0; x < width; x++, k += 4) {
      const cell = Math.floor(y / CELL) * columns + Math.floor(x / CELL);
      for (let c = 0; c < 3; c++) sums[cell] += ((one.data[k + c] - other.data[k + c]) / 255) ** 2;
      counts[cell] += 3;
    }
  }
  return {sums, counts, columns, rows};
}

// 1 for each square that hardly changed, and whose neighbors hardly changed either; a stroke reaches that far.
export function stillness(one, other) {
  const {sums, counts, columns, rows} = squares(one, other);
  const calm = sums.map((sum, k) => Number(sum <= LIMIT * counts[k]));
  const still = calm.map((_, k) => {
    const [x, y] = [k % columns, Math.floor(k / columns)];
    for (let row = Math.max(0, y - 1); row <= Math.min(rows - 1, y + 1); row++) {
      for (let column = Math.max(0, x - 1); column <= Math.min(columns - 1, x + 1); column++) {
        if (!calm[row * columns + column]) return 0;
      }
    }
    return 1;
  });
  return {still, share: still.reduce((sum, value) => sum + value, 0) / still.length};
}

// The mean square change of the colors, from 0 to 1, over the squares that are still.
export function change(one, other, still) {
  const {sums, counts} = squares(one, other);
  let [sum, count] = [0, 0];
  still.forEach((value, k) => {
    sum += value * sums[k];
    count += value * counts[k];
  });
  return sum / count;
}
