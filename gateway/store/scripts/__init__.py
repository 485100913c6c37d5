"""The Lua scripts, as Python calls them."""
