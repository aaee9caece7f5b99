"""One training run of one Keras model with one optimizer configuration.

Read problem.py (what the user gives), configuration.py (what is asked), trainer.py and watch.py (what happens),
outcome.py (what comes out).
"""
