"""Which words do all of trials/ share? Nothing here imports Keras."""
