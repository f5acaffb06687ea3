"""Read photographs with the original package, in a Python that has PyTorch: `convert_imagenet.py --original` calls it.

`PYTHON tools/original_imagenet.py WEIGHTS.pth IMAGES.npy LOGITS.npy`, where PYTHON has torch and
efficientnet_lite_pytorch. Images: uint8, (N, 224, 224, 3).
"""

import sys

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

weights, images, logits = sys.argv[1:]
network = EfficientNet.from_name("efficientnet-lite0")
network.load_state_dict(torch.load(weights, weights_only=True))
network.eval()
scaled = (np.load(images).astype("float32") - 127) / 128  # as the authors' TensorFlow code feeds the Lite variants
with torch.no_grad():
    parts = [network(torch.from_numpy(part.transpose(0, 3, 1, 2).copy())) for part in np.array_split(scaled, 10)]
np.save(logits, torch.cat(parts).numpy())
print(torch.__version__)
