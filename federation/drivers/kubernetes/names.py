"""The words that mark what is ours in a cluster. They are on every object we make, and never change."""

LABEL_REF = "aquifer.io/ref"
LABEL_MANAGED = "app.kubernetes.io/managed-by"
MANAGED_BY = "aquifer"
ANNOTATION_DEVICES = "aquifer.io/devices"  # JSON list of [uuid, milli, mib]: what the hub granted to a pod
