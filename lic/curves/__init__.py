"""From results files to rate-task curves: figure, tables and BD-rate; knows no tracker and no codec."""
