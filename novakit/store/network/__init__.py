"""Networks, ports, routers, security groups, and which state of the network each host has."""
