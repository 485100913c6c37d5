"""A provider that follows the recipe of CONTRIBUTING.md: a folder, and a row.

Its API has one call. `POST /speak` takes `{"model", "turns": [{"who", "says"}], "stream"}` and
streams `{"word"}` for each word, then `{"over": true, "words"}`; errors are `{"trouble"}`.
"""
