"""What does a training process do, from its first ticket to its last?"""
