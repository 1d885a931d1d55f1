"""Text files that commands write out: configurations, the strategy skeleton."""
