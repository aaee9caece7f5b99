"""What is tried next?"""
