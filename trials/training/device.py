"""What may a training take of its device, and is the device still there?"""

import re

import tensorflow as tf

LOST = re.compile(
    r"CUDA_ERROR_(?!OUT_OF_MEMORY)\w+|\bXid\b|Failed to initialize NVML|cudaErrorDevicesUnavailable|"
    r"GPU has fallen off the bus|device lost|device is lost",
    re.IGNORECASE,
)
"""Texts of a driver that lost its device; out of memory is another matter (trainer.py)."""


def limit_memory(megabytes: int) -> None:
    """Take at most so much of the one GPU that this process sees; call it before the first operation.

    Growing as needed, which is the rule otherwise, lets one of two processes starve the other.
    """
    for gpu in tf.config.list_physical_devices("GPU")[:1]:
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=megabytes)
        tf.config.set_logical_device_configuration(gpu, [limit])


def is_device_lost(error: BaseException) -> bool:
    """Tell by the text: TensorFlow has no class of its own for it.

    >>> is_device_lost(RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered"))
    True
    >>> is_device_lost(RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"))
    False
    """
    return LOST.search(str(error)) is not None
