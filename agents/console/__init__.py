"""The console: pages for people and an API for programs, on a read model that follows the log."""
