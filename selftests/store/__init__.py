"""The store: an artifact is made once, handed out whole, and made anew when its key changes."""
