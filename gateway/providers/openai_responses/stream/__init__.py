"""The events of a response as the AI SDK's chunks."""
