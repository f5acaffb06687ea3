// Files to pixels: the middle square of a photograph, 128 × 128, as tl_base/photographs.py reads it.

import { make } from "./common.js";
import { contextOf } from "./images.js";

/** @typedef {Uint8Array<ArrayBuffer>} Pixels 128 × 128 × 3 */

export const SIDE = 128;
const LARGEST_FILE = 40e6; // bytes
const LARGEST_PICTURE = 120e6; // pixels that are unpacked: half a gigabyte
const RAW = /\.(arw|cr2|cr3|dng|nef|nrw|orf|pef|raf|rw2|srw)$/i;
const HEIC = /\.(heic|heif|hif)$/i;
const AS_JPEG =
  "On an iPhone choose Settings, Camera, Formats, Most Compatible; a picture that is there already " +
  "becomes a JPEG when you export or share it as one. Then add it again.";

/** @type {(file: { name: string }, words: string) => Error} */
const wrong = ({ name }, words) => new Error(`${name} ${words}`);

/**
 * A picture to look at.
 * @param {Uint8Array} pixels
 * @param {number} [size] of the canvas as it is shown, in CSS pixels
 */
export function thumb(pixels, size) {
  const canvas = make("canvas", { width: SIDE, height: SIDE });
  if (size) canvas.style.width = canvas.style.height = `${size}px`;
  const image = new ImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[3 * i + c];
    image.data[4 * i + 3] = 255;
  }
  contextOf(canvas).putImageData(image, 0, 0);
  return canvas;
}

/** @param {number} x Pillow's bicubic filter, a = -0.5 */
function bicubic(x) {
  const at = Math.abs(x);
  if (at < 1) return (1.5 * at - 2.5) * at * at + 1;
  return at < 2 ? ((-0.5 * at + 2.5) * at - 4) * at + 2 : 0;
}

/**
 * For each of 128 places along a side: where its weights begin, and the weights.
 * @param {number} side
 */
function weightsFor(side) {
  const scale = side / SIDE;
  const wide = Math.max(scale, 1);
  return Array.from({ length: SIDE }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const start = Math.max(0, Math.round(centre - 2 * wide));
    const end = Math.min(side, Math.round(centre + 2 * wide));
    const weights = Array.from({ length: end - start }, (_, i) => bicubic((i + start - centre + 0.5) / wide));
    const total = weights.reduce((sum, each) => sum + each, 0);
    return { start, weights: weights.map((each) => each / total) };
  });
}

/**
 * Bring a square of red, green, blue and alpha to 128 × 128, as Pillow does.
 * @param {Uint8ClampedArray} data
 * @param {number} side
 * @returns {Pixels}
 */
function resized(data, side) {
  const table = weightsFor(side);
  const across = new Uint8ClampedArray(side * SIDE * 3);
  for (let y = 0; y < side; y++) {
    table.forEach(({ start, weights }, x) => {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * data[4 * (y * side + start + i) + c];
        across[3 * (y * SIDE + x) + c] = sum;
      }
    });
  }
  const result = new Uint8ClampedArray(SIDE * SIDE * 3);
  table.forEach(({ start, weights }, y) => {
    for (let at = 0; at < 3 * SIDE; at++) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * across[3 * SIDE * (start + i) + at];
      result[3 * SIDE * y + at] = sum;
    }
  });
  return new Uint8Array(result.buffer);
}

/**
 * The middle square of what can be drawn.
 * @param {CanvasImageSource} source
 * @param {number} wide
 * @param {number} high
 */
export function squareOf(source, wide, high) {
  const side = Math.min(wide, high);
  const times = Math.max(1, Math.floor(side / (2 * SIDE)));
  const small = Math.max(1, Math.floor(side / times)); // twice as large, or a little more
  const canvas = make("canvas", { width: small, height: small });
  const context = contextOf(canvas, { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff"; // behind what is transparent
  context.fillRect(0, 0, small, small);
  context.drawImage(source, (wide - side) / 2, (high - side) / 2, side, side, 0, 0, small, small);
  return resized(context.getImageData(0, 0, small, small).data, small);
}

/** @param {File} file */
async function kindOf(file) {
  const head = new Uint8Array(await file.slice(0, 32).arrayBuffer());
  const text = String.fromCharCode(...head);
  if (/^ftyp(hei[cfmsx]|hev[cx]|mif1|msf1)/.test(text.slice(4, 12))) return "HEIC";
  if (/^(\xff\xd8\xff|\x89PNG|GIF8|BM|RIFF....WEBP)/s.test(text) || text.slice(4, 12) === "ftypavif") {
    return "picture";
  }
  if (HEIC.test(file.name)) return "HEIC";
  if (RAW.test(file.name)) return "RAW";
  return "unknown";
}

/**
 * Say why a file could not be read.
 * @param {File} file
 */
async function reasonFor(file) {
  const kind = await kindOf(file);
  if (kind === "HEIC") return wrong(file, `is HEIC, which this browser cannot read. ${AS_JPEG}`);
  if (kind === "RAW") {
    return wrong(
      file,
      "is a camera's raw file. Save it as JPEG with the camera's program, then add it again.",
    );
  }
  if (kind === "picture") {
    return wrong(file, "is damaged and cannot be read to its end. Save or copy it again.");
  }
  return wrong(file, "is no picture that this browser can read. JPEG, PNG and WebP work.");
}

/**
 * Width and height of a picture, known before it is unpacked.
 * @param {File} file
 */
async function sizeOf(file) {
  const address = URL.createObjectURL(file);
  try {
    const image = new Image();
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reasonFor(file).then(reject, reject);
      image.src = address;
    });
    return image.naturalWidth * image.naturalHeight;
  } finally {
    URL.revokeObjectURL(address);
  }
}

/**
 * Read a file as a picture; the error says what is wrong with it, by name.
 * @param {File} file
 * @returns {Promise<Pixels>}
 */
export async function readPicture(file) {
  if (!file.size) throw wrong(file, "is empty. Copy it again.");
  if (file.size > LARGEST_FILE) {
    const most = LARGEST_FILE / 1e6;
    throw wrong(
      file,
      `has ${Math.round(file.size / 1e6)} MB; at most ${most} are read. Make it smaller first.`,
    );
  }
  const count = await sizeOf(file);
  if (count > LARGEST_PICTURE) {
    const most = LARGEST_PICTURE / 1e6;
    throw wrong(
      file,
      `has ${Math.round(count / 1e6)} million pixels; at most ${most} are read. Make it smaller first.`,
    );
  }
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw await reasonFor(file);
  }
  try {
    return squareOf(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}
