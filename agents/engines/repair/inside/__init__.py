"""What runs in the sandbox: a project's own tests, on many small changes of it.

Standard library and the project's pytest only, and imports from beside it only: the sources are piped into a python
where Moorage is not installed. The answer is one line of JSON. The checkout is never touched: all happens in a copy
beside it. pytest collects once; each candidate is a fork of that warm process, limited in time and memory.
"""
