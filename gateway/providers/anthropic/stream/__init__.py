"""The events of a Messages answer as the AI SDK's chunks."""
