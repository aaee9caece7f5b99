"""What may be tried, and what was asked for?"""
