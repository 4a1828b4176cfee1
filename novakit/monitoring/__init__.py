"""What machines that watch the service read: metrics, health, traces."""
