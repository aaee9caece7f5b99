"""What is compiled once, and filled in for each trial?"""
