"""Sessions that a person answers, in the place of an agent."""
