// Draws that depend on a seed alone.

/**
 * Numbers from 0 to 1 that depend on the seed alone (mulberry32).
 * @param {number} seed
 */
export function randomness(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * The numbers from 0 to count - 1 in an order that is drawn.
 * @param {number} count
 * @param {() => number} random
 */
export function shuffled(count, random) {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/**
 * The rows of every batch, as training.batch_rows draws them: shuffled passes, each row as often as any other.
 * @param {number} count
 * @param {number} size
 * @param {number} steps
 * @param {number} seed
 */
export function batches(count, size, steps, seed) {
  const random = randomness(seed);
  const batch = Math.min(size, count);
  const order = /** @type {number[]} */ ([]);
  while (order.length < steps * batch) order.push(...shuffled(count, random));
  return Array.from({ length: steps }, (_, step) => order.slice(step * batch, (step + 1) * batch));
}
