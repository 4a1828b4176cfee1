"""What network drivers share on a Linux host."""
