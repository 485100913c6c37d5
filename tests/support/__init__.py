"""Real parts for black-box tests: processes, a wire client, faults, and the AI SDK in Node."""
