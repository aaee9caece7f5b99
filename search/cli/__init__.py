"""What is typed, and what is printed? Every command reads its options, calls one function and prints what came of it."""
