"""What EfficientNet-Lite0 is made of, as numbers: for the network in Keras and for the one that runs on a page.

Tan and Le (2019), EfficientNet; the Lite variant. Loads no TensorFlow. Taught in: chapter 7 (Your own photographs).
"""

from dataclasses import dataclass

# As the original: it was trained on (x - 127) / 128, with this number in every BatchNormalization.
MIDDLE, SPREAD = 127.0, 128.0
EPSILON = 1e-3
MOST = 6.0  # of what ReLU6 lets through
STEM = 32
FEATURES = 1280


@dataclass(frozen=True)
class Stage:
    """Blocks of one width: how many, the first one's stride, size of the kernels, expansion, channels put out."""

    blocks: int
    stride: int
    kernel: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 1, 3, 1, 16),
    Stage(2, 2, 3, 6, 24),
    Stage(2, 2, 5, 6, 40),
    Stage(3, 2, 3, 6, 80),
    Stage(3, 1, 5, 6, 112),
    Stage(4, 2, 5, 6, 192),
    Stage(1, 1, 3, 6, 320),
)
