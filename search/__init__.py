"""What to try, and what was found.

cli is what is typed and printed. It calls studies (how one is made, served, joined), describing (what a problem is, and
what a study would cost), report (how a verdict is said) and status (how far a study is); worker is what a training
process does. Below them stand bundles (whose code is trained), engines and processes (where workers run), strategy (what
is tried next), verdict (who is best), knowledge (what other tasks teach) and spec (what may be tried).
"""
