"""A provider as CONTRIBUTING.md says how to add one: a folder, and a row.

Its API has one call. `POST /speak` takes `{"model", "turns": [{"who", "says"}], "stream"}` and
streams `{"word"}` for each word, then `{"over": true, "words"}`; errors are `{"trouble"}`.
"""
