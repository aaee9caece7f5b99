"""What does it cost? Load generators and comparisons, run by hand; their figures stand in docs/."""
