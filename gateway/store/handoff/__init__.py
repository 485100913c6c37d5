"""Sessions in the hands of people: data, contract and store."""
