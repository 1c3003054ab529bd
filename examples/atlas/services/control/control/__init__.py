"""control: which services are up - for people, orchestrators and Prometheus."""
