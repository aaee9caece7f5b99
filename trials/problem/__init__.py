"""What does the user's file give?"""
