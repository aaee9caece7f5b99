"""What was measured, by commands that measure it again: python -m benchmarks.NAME"""
