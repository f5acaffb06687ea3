"""What is on this photograph? `python predict_litert.py my_model.tflite photo.jpg` needs LiteRT and Pillow."""

import json
import sys
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
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
card = json.loads(zipfile.ZipFile(file).read("class_names.json"))
pixels = fitted(Image.open(photo), (card["width"], card["height"]), card["fit"])
logits = Interpreter(file).get_signature_runner()(image=pixels[None])["logits"][0]
shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
for k in np.argsort(-shares):
    print(f"{shares[k]:7.2%}  {card['class_names'][k]}")
