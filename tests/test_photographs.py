"""One photograph, fitted: of any proportions, and as Pillow's own functions do it."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from tl_base import photographs

WAYS = {"crop": ImageOps.fit, "pad": ImageOps.pad, "stretch": Image.Image.resize}


@pytest.mark.parametrize("fit", WAYS)
@pytest.mark.parametrize(("width", "height"), [(224, 224), (160, 160), (160, 120), (96, 131)])
def test_every_shape_of_a_picture_is_fitted_as_pillow_does_it(tmp_path, fit, width, height):
    generator, path = np.random.default_rng(0), tmp_path / "a.png"
    for across in range(100, 200, 7):  # small ones: nothing is reduced beforehand
        for down in range(97, 230, 13):
            image = Image.fromarray(generator.integers(0, 256, (down, across, 3), dtype=np.uint8))
            image.save(path, compress_level=0)
            expected = WAYS[fit](image, (width, height), Image.Resampling.BICUBIC)
            found = photographs.read(path, height, width, fit).pixels
            np.testing.assert_array_equal(found, np.asarray(expected), err_msg=f"{across} x {down}")
