"""What would happen: how many more servers fit, and a recorded load replayed under another configuration."""
