"""The agent of a whole cluster: the driver that the hub would use for it, run beside the cluster instead.

Nothing is kept here that cannot be rebuilt: what runs is known by the site, what is wanted by the hub.
"""
