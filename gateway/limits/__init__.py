"""Limits a caller, over all gateways: whose they are, what is taken of them, and what is held.

`policy` says which limits a caller has, `limiter` asks Redis (store/limits.py) and holds what is
open, `settling` counts what ended runs have stored and used, `allowance` decides while Redis cannot
be asked, `addresses` tells anonymous callers apart.
"""
