"""A send becomes a run: the plan, the claim, the opening."""
