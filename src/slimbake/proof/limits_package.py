"""Limits: what an image holds against what its workload needs."""
