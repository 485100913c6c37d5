"""Who answers a session: words for people and for models."""
