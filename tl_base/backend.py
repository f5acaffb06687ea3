"""Load TensorFlow and Keras without their start-up log lines.

Every module that needs TensorFlow imports `keras` and `tf` from here.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def _native_stderr_closed() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: TensorFlow logs a few lines there before any log level applies."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        kept = os.dup(2)
    except OSError:  # it is closed, as `2>&-` does; the next file that is opened must not take its place
        kept = os.dup(nowhere)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what compiled code writes to file descriptor 2; if the block fails, it is said after all."""
    with tempfile.TemporaryFile() as said:
        kept = os.dup(2)
        try:
            os.dup2(said.fileno(), 2)
            yield
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


with _native_stderr_closed():
    import keras
    import tensorflow as tf
    from keras.src.utils.naming import to_snake_case
    from tensorflow.python.eager import context

# Every network here compiles its own training step; TensorFlow would warn that a function is traced often.
tf.get_logger().setLevel("ERROR")

__all__ = ["forget_compiled", "keras", "quiet", "tf", "to_snake_case"]


def forget_compiled() -> None:
    """Let TensorFlow drop what it keeps for functions that are gone: half a megabyte for each compiled loop."""
    context.context().clear_kernel_cache()
