"""How often is the verdict right? Whole studies, replayed on tables of real training runs.

python -m benchmarks.verdict.make       trains the tables with the project's own engine; they are kept in tables/
python -m benchmarks.verdict            replays strategies on them and prints what they get right
"""
