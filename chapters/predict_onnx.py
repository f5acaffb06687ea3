"""What is on this photograph? `python predict_onnx.py my_model.onnx photo.jpg` needs ONNX Runtime and Pillow."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def fitted(image, size, fit):
    """Return a photograph as the network saw those that it was trained on: what `data.from_folder` does."""
    turn = image.getexif().get(0x0112, 1)  # how the camera was held
    size = size[::-1] if turn > 4 else size
    scale = max(size[0] / image.width, size[1] / image.height)
    enough = [2 * max(32, round(scale * side)) for side in image.size]
    image.draft(None, enough)
    image = image.convert("RGBA").reduce(
        max(1, min(image.width // enough[0], image.height // enough[1]))
    )
    image = Image.alpha_composite(
        Image.new("RGBA", image.size, "white"), image
    ).convert("RGB")
    ways = {"crop": ImageOps.fit, "pad": ImageOps.pad, "stretch": Image.Image.resize}
    image = ways[fit](image, size, Image.Resampling.BICUBIC)
    image.getexif()[0x0112] = turn
    return np.asarray(ImageOps.exif_transpose(image), "float32")


file, photo = sys.argv[1:]
network = onnxruntime.InferenceSession(file)
card = json.loads(network.get_modelmeta().custom_metadata_map["class_names"])
pixels = fitted(Image.open(photo), (card["width"], card["height"]), card["fit"])
logits = network.run(["logits"], {"image": pixels[None]})[0][0]
shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
for k in np.argsort(-shares):
    print(f"{shares[k]:7.2%}  {card['class_names'][k]}")
