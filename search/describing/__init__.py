"""What is this problem, would it train here, and what would a study cost?"""
