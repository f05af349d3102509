"""Real servers in the topologies a deployment may have: a master under sentinels, a cluster.

For tests and benchmarks. Everything listens on 127.0.0.1, keeps its files in a folder of the caller, and is a child of
this process. The times are those of a test: seconds instead of the half minute that real deployments take.
"""

from bench.servers.cluster import ClusterSet
from bench.servers.sentinel import SentinelSet
from bench.servers.server import Server

__all__ = ["ClusterSet", "SentinelSet", "Server"]
