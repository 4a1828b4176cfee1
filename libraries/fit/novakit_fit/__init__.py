"""How servers fit on hosts: NUMA cells, trees of resource providers, and devices near the cells of a guest."""
