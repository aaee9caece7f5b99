"""What to try, and what was found.

cli (what is typed and printed) calls studies (how one is made, served, joined), report (how a verdict is said) and status
(how far it is); a training process is worker's. Below them stand bundles (whose code is trained), engines and processes
(where workers run), strategy (what is tried next), verdict (who is best) and spec (what may be tried).
"""
