"""What makes imports cheap: libraries as a service needs them, and nothing made twice that can be kept."""
