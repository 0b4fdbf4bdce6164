"""The Aquifer agent: runs on a bare machine, dials out to the hub, runs what it is told as real processes."""

VERSION = "0.1.0"
