"""Limits of callers, over all gateways.

`policy` lists a caller's limits, `limiter` asks Redis (store/limits.py) and holds places for open
runs and streams, `settling` counts the bytes and tokens of ended runs, `allowance` decides while
Redis is away, `addresses` identifies anonymous callers.
"""
