"""The agent renews itself: only what the operator signed, only when the hub offers it, and never for the worse."""
