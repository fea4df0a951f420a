"""Programs that run inside the sandbox. Each is one file, standard library and libcst only, given to
python by stdin.
"""
