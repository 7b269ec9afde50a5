"""From results files to rate-task curves: figure, tables and BD-rate."""
