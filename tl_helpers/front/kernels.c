// Loops of the photograph page's networks, compiled ahead to WebAssembly with 128-bit vectors: four numbers at a time.
//
// tools/compile_kernels.py compiles it into kernels_wasm.js; kernels.js has the same loops in plain JavaScript, in the
// same order of arguments. There is no library and no allocation: what is passed are places in the page's memory.
// Pictures lie row by row, pixel by pixel, channels together. Columns of a matrix that is multiplied from the right
// lie in panels of eight: panel, row, column.

#include <wasm_simd128.h>

#define PANEL 8
#define ROWS 4
#define CHUNK 16384 // numbers of the left matrix that stay close while the panels pass by: 64 KB
#define EXPORT(name) __attribute__((export_name(#name)))

typedef v128_t four;

static inline four clamped(four x, float most) {
    return most > 0 ? wasm_f32x4_pmin(wasm_f32x4_splat(most), wasm_f32x4_pmax(wasm_f32x4_splat(0), x)) : x;
}

// Four rows of a, eight columns of b; bias, then 0 and most (if it is above 0), then what is added.
static inline void tile(const float *a, int depth, int row, int step, const float *b, const float *bias,
                        const float *added, float most, float *c, int across) {
    four sums[ROWS][2];
    for (int i = 0; i < ROWS; i++) {
        sums[i][0] = bias ? wasm_v128_load(bias) : wasm_f32x4_splat(0);
        sums[i][1] = bias ? wasm_v128_load(bias + 4) : wasm_f32x4_splat(0);
    }
    for (int k = 0; k < depth; k++) {
        const four left = wasm_v128_load(b), right = wasm_v128_load(b + 4);
        for (int i = 0; i < ROWS; i++) {
            const four x = wasm_v128_load32_splat(a + i * row);
            sums[i][0] = wasm_f32x4_add(sums[i][0], wasm_f32x4_mul(x, left));
            sums[i][1] = wasm_f32x4_add(sums[i][1], wasm_f32x4_mul(x, right));
        }
        a += step;
        b += PANEL;
    }
    for (int i = 0; i < ROWS; i++) {
        four left = clamped(sums[i][0], most), right = clamped(sums[i][1], most);
        if (added) {
            left = wasm_f32x4_add(left, wasm_v128_load(added + i * across));
            right = wasm_f32x4_add(right, wasm_v128_load(added + i * across + 4));
        }
        wasm_v128_store(c + i * across, left);
        wasm_v128_store(c + i * across + 4, right);
    }
}

// c = a b: a has `rows` (a multiple of four) rows, `row` apart, and `depth` columns, `step` apart; c has rows `across`
// apart and panels `along` apart.
EXPORT(product)
void product(const float *a, int rows, int depth, int row, int step, const float *b, int panels, const float *bias,
             const float *added, float most, float *c, int across, int along) {
    int most_rows = CHUNK / depth / ROWS * ROWS;
    if (most_rows < ROWS) most_rows = ROWS;
    for (int from = 0; from < rows; from += most_rows) {
        const int to = from + most_rows < rows ? from + most_rows : rows;
        for (int panel = 0; panel < panels; panel++) {
            const float *weights = b + panel * depth * PANEL;
            const float *start = bias ? bias + panel * PANEL : 0;
            for (int i = from; i < to; i += ROWS) {
                const int at = i * across + panel * along;
                tile(a + i * row, depth, row, step, weights, start, added ? added + at : 0, most, c + at, across);
            }
        }
    }
}

// A convolution of each channel on its own, "same" as Keras pads; `channels` is a multiple of eight.
EXPORT(depthwise)
void depthwise(const float *x, int side, int channels, const float *weights, const float *bias, int size, int stride,
               float most, float *y) {
    const int out = (side + stride - 1) / stride;
    const int padded = (out - 1) * stride + size - side;
    const int before = padded > 0 ? padded / 2 : 0;
    for (int i = 0; i < out; i++) {
        const int top = i * stride - before;
        const int from = top < 0 ? -top : 0, to = top + size > side ? side - top : size;
        for (int j = 0; j < out; j++, y += channels) {
            const int left = j * stride - before;
            const int start = left < 0 ? -left : 0, end = left + size > side ? side - left : size;
            for (int c = 0; c < channels; c += PANEL) {
                four low = wasm_v128_load(bias + c), high = wasm_v128_load(bias + c + 4);
                for (int v = from; v < to; v++) {
                    const float *pixel = x + ((top + v) * side + left + start) * channels + c;
                    const float *weight = weights + (v * size + start) * channels + c;
                    for (int u = start; u < end; u++, pixel += channels, weight += channels) {
                        const four first = wasm_f32x4_mul(wasm_v128_load(pixel), wasm_v128_load(weight));
                        const four second = wasm_f32x4_mul(wasm_v128_load(pixel + 4), wasm_v128_load(weight + 4));
                        low = wasm_f32x4_add(low, first);
                        high = wasm_f32x4_add(high, second);
                    }
                }
                wasm_v128_store(y + c, clamped(low, most));
                wasm_v128_store(y + c + 4, clamped(high, most));
            }
        }
    }
}

// Where an output was cut at 0 or at most, no gradient passes: it is `given` elsewhere, for all pixels of a picture.
// Both lie in panels: outputs are panel, pixel of all pictures, column; given is picture, channel.
EXPORT(masked)
void masked(float *outputs, int pictures, int pixels, int panels, const float *given, float most) {
    const four zero = wasm_f32x4_splat(0), top = wasm_f32x4_splat(most);
    for (int panel = 0; panel < panels; panel++) {
        for (int n = 0; n < pictures; n++) {
            const float *slope = given + (n * panels + panel) * PANEL;
            for (int half = 0; half < PANEL; half += 4) {
                const four passed = wasm_v128_load(slope + half);
                float *at = outputs + (panel * pictures + n) * pixels * PANEL + half;
                for (int p = 0; p < pixels; p++, at += PANEL) {
                    const four z = wasm_v128_load(at);
                    const four open = wasm_v128_and(wasm_f32x4_gt(z, zero), wasm_f32x4_lt(z, top));
                    wasm_v128_store(at, wasm_v128_and(passed, open));
                }
            }
        }
    }
}

// One step of Adam (Kingma and Ba, 2015) for `count` numbers, a multiple of four; `rate` and `small` hold the bias
// correction already.
EXPORT(adam)
void adam(float *weights, const float *slopes, float *means, float *squares, int count, float rate, float small) {
    const four b1 = wasm_f32x4_splat(0.9f), b2 = wasm_f32x4_splat(0.999f);
    const four a1 = wasm_f32x4_splat(0.1f), a2 = wasm_f32x4_splat(0.001f);
    const four step = wasm_f32x4_splat(rate), least = wasm_f32x4_splat(small);
    for (int i = 0; i < count; i += 4) {
        const four slope = wasm_v128_load(slopes + i);
        const four mean = wasm_f32x4_add(wasm_f32x4_mul(b1, wasm_v128_load(means + i)), wasm_f32x4_mul(a1, slope));
        const four square = wasm_f32x4_add(wasm_f32x4_mul(b2, wasm_v128_load(squares + i)),
                                           wasm_f32x4_mul(a2, wasm_f32x4_mul(slope, slope)));
        const four moved = wasm_f32x4_div(wasm_f32x4_mul(step, mean), wasm_f32x4_add(wasm_f32x4_sqrt(square), least));
        wasm_v128_store(means + i, mean);
        wasm_v128_store(squares + i, square);
        wasm_v128_store(weights + i, wasm_f32x4_sub(wasm_v128_load(weights + i), moved));
    }
}
