"""How do workers get onto SLURM, Kubernetes and Ray?"""
