// Pictures: a file or an element ↔ a canvas ↔ numbers in [0, 1], all reds first, then all greens, then all blues.

export class PictureError extends Error {}

const WORKS = "A JPEG, PNG or WebP file works.";

export function blank(width, height) {
  return Object.assign(document.createElement("canvas"), {width, height});
}

// A file → a bitmap, turned as the camera says that it was held.
export async function decode(file) {
  if (file.type && !file.type.startsWith("image/")) {
    throw new PictureError(`${file.name || "That"} is not a picture (it is ${file.type}). ${WORKS}`);
  }
  try {
    return await createImageBitmap(file, {imageOrientation: "from-image"});
  } catch {
    const reasons = "It may be damaged, too large, or of a kind that this browser does not know (HEIC?).";
    throw new PictureError(`${file.name || "That"} could not be read as a picture. ${reasons} ${WORKS}`);
  }
}

// A picture of the page.
export async function fetched(address) {
  const response = await fetch(address).catch(() => null);
  if (!response?.ok) throw new PictureError("The picture could not be fetched. Try again, or use a file.");
  return decode(await response.blob());
}

// The picture with a long side of at most `longest`: halved until nearly there, so that every pixel counts.
export function fitted(source, longest) {
  const {width, height} = source;
  const scale = Math.min(1, longest / Math.max(width, height));
  const goal = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  if (Math.min(...goal) < 16) {
    const least = Math.min(...goal);
    const short = `the shorter side would have ${least} pixel${least === 1 ? "" : "s"}, and 16 is the least`;
    throw new PictureError(`A picture of ${width} × ${height} pixels is too narrow: ${short}.`);
  }
  let [from, now] = [source, [width, height]];
  while (now[0] > 2 * goal[0]) {
    now = now.map((side) => Math.ceil(side / 2));
    from = drawn(from, ...now);
  }
  return drawn(from, ...goal);
}

export function drawn(source, width, height) {
  const canvas = blank(width, height);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "#fff";  // under what a picture leaves transparent
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}

export const pixels = (canvas) =>
  canvas.getContext("2d", {willReadFrequently: true}).getImageData(0, 0, canvas.width, canvas.height);

export function toNumbers({data, width, height}) {
  const area = width * height;
  const numbers = new Float32Array(3 * area);
  for (let k = 0; k < area; k++) {
    for (let c = 0; c < 3; c++) numbers[c * area + k] = data[4 * k + c] / 255;
  }
  return {data: numbers, width, height};
}

// The picture, or its upper left part of `across` × `down` pixels.
export function toPixels({data, width, height}, across = width, down = height) {
  const found = new ImageData(across, down);
  for (let y = 0, k = 0; y < down; y++) {
    for (let x = 0; x < across; x++, k += 4) {
      for (let c = 0; c < 3; c++) found.data[k + c] = 255 * data[(c * height + y) * width + x];  // rounded and clamped
      found.data[k + 3] = 255;
    }
  }
  return found;
}

export function save(canvas, name) {
  canvas.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: `${name}.png`});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
}
