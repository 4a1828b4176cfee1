"""What virt drivers share on a Linux host."""
