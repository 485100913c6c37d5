"""How providers fail: recognised, named, tried again."""
