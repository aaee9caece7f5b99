"""What is this problem, and would it train?"""
