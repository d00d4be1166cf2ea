"""Turn stored bytes into models and rows into predictions; on workers and in a user's own process."""
