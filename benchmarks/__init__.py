"""What does it cost, and how often is it right? Load generators and comparisons, run by hand; figures are in docs/."""
