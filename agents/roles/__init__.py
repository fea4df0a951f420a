"""Who the llm engine consists of: planner, coder, tester, reviewer; a fresh context and a typed output
each.
"""
