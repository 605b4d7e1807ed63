"""What hao does, one module a step: its request, what it calls, what it leaves.

`hao.flow` is the index.
"""
