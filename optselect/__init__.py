"""Which optimizer should I use for my Keras model, with which settings?

The code is in search/, trials/ and storage/; this package is only their front door and imports nothing,
because every `import optselect.x` runs this file first.
"""

__version__ = "0.1.0"
