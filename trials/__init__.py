"""One training run of one Keras model with one optimizer configuration.

describing says what a problem is and whether it trains, weights from which weights a seed begins, training how one
configuration is trained, on the compiled programs of programs. problem, data and state are what the user gives: the file,
the rows, what callbacks hold; optimizers builds what terms, the words that all share, asks for.
"""
