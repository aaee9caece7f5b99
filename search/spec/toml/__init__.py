"""What does a study.toml say, and how is one written?"""
