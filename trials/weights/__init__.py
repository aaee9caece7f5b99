"""From which weights does a seed begin, and what does it decide?"""
