"""The documentation's own tests; ``python -m tests.docs`` renews what is made from the code."""
