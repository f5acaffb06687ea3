// Images as the network takes them: 32 × 32 pixels of red, green and blue, one byte each.

import { make } from "./common.js";

/** @typedef {Uint8Array<ArrayBuffer>} Picture */

export const SIDE = 32; // as data.SIDE
export const LARGEST_FILE = 20e6; // bytes
const LARGEST_PICTURE = 40e6; // pixels
export const PIXELS = SIDE * SIDE * 3;

/** @param {Uint8Array} bytes */
export const toText = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

/**
 * @param {string} text
 * @returns {Picture}
 */
export const toBytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/**
 * @param {ArrayLike<number>} grey
 * @returns {Picture}
 */
export const fromGrey = (grey) =>
  Uint8Array.from({ length: 3 * grey.length }, (_, i) => grey[Math.floor(i / 3)]);

/** @param {number} bytes */
export const megabytes = (bytes) => `${Math.round(bytes / 1e6)} MB`;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} settings
 */
export function contextOf(canvas, settings = {}) {
  const context = canvas.getContext("2d", settings);
  if (!context) throw new Error("This browser has no canvas to draw on.");
  return context;
}

/**
 * A black square to draw on.
 * @param {number} side
 */
export function blackSquare(side) {
  const canvas = make("canvas", { width: side, height: side });
  const context = contextOf(canvas, { willReadFrequently: true });
  context.fillRect(0, 0, side, side);
  return { canvas, context };
}

/** @param {Picture} image */
export function shown(image) {
  const canvas = make("canvas", { width: SIDE, height: SIDE });
  const pixels = new ImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) pixels.data.set([...image.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  contextOf(canvas).putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * Shrink what a canvas shows to the network's input: the mean of each square.
 * @param {CanvasRenderingContext2D} context
 * @param {number} side
 * @returns {Picture}
 */
export function reduced(context, side) {
  const { data } = context.getImageData(0, 0, side, side);
  const step = side / SIDE;
  const image = new Float64Array(PIXELS);
  for (let i = 0; i < side * side; i++) {
    const place = Math.floor(Math.floor(i / side) / step) * SIDE + Math.floor((i % side) / step);
    for (let c = 0; c < 3; c++) image[3 * place + c] += data[4 * i + c] / step ** 2;
  }
  return Uint8Array.from(image, Math.round);
}

/**
 * A file to an image, as data.to_source_format does: padded to a black square; 28 to 32 pixels are kept as they are.
 * @param {File} file
 */
async function imageOf(file) {
  if (file.size > LARGEST_FILE) {
    const most = LARGEST_FILE / 1e6;
    throw new Error(`${file.name} has ${megabytes(file.size)}; at most ${most} are read. Shrink it first.`);
  }
  const address = URL.createObjectURL(file);
  try {
    const picture = new Image();
    await new Promise((resolve, reject) => {
      picture.onload = resolve;
      picture.onerror = () =>
        reject(new Error(`${file.name} cannot be read as an image. PNG and JPEG work.`));
      picture.src = address;
    });
    return await pixelsOf(picture, file.name);
  } finally {
    URL.revokeObjectURL(address);
  }
}

/**
 * @param {HTMLImageElement} picture
 * @param {string} name
 */
async function pixelsOf(picture, name) {
  const { naturalWidth: wide, naturalHeight: high } = picture;
  if (!wide || !high) throw new Error(`${name} has no size in pixels. Save it as PNG.`);
  if (wide * high > LARGEST_PICTURE) {
    const most = LARGEST_PICTURE / 1e6;
    throw new Error(
      `${name} has ${wide} × ${high} pixels; at most ${most} million are read. Shrink it first.`,
    );
  }
  await picture.decode().catch(() => {
    throw new Error(`${name} is damaged and cannot be read to its end. Save it again.`);
  });
  const { context } = blackSquare(SIDE);
  const longer = Math.max(wide, high);
  const scale = longer >= 28 && longer <= SIDE ? 1 : SIDE / longer;
  const [left, top] = [wide, high].map((length) => Math.floor((SIDE - length * scale) / 2));
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, left, top, wide * scale, high * scale);
  const image = reduced(context, SIDE);
  if (image.every((value, i) => value === image[i % 3])) {
    throw new Error(`${name} is of one colour: there is nothing to see in it.`);
  }
  return image;
}

/**
 * Read files as images; say of each that is none what is wrong.
 * @param {File[]} files
 */
export async function readImages(files) {
  const images = /** @type {Picture[]} */ ([]);
  const wrong = /** @type {string[]} */ ([]);
  for (const file of files) {
    try {
      images.push(await imageOf(file));
    } catch (error) {
      wrong.push(error instanceof Error ? error.message : String(error));
    }
  }
  return { images, wrong };
}
