"""HTTP: the only place that knows it. One package per OpenStack service, one module per resource."""
