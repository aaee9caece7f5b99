"""What do other tasks teach, and what follows for this one?"""
