"""Sites, inventory, workloads and grants. Imported as `from federation.models import Allocation`."""

from federation.models.allocations import Allocation, LedgerEntry, Share
from federation.models.capacity import CapacityChange
from federation.models.catalogue import Image, Template
from federation.models.connections import ClusterCredential
from federation.models.energy import EnergyHour
from federation.models.inventory import (
    Accelerator,
    AcceleratorModel,
    Figures,
    Health,
    Node,
    Pool,
    QueueOrder,
)
from federation.models.layouts import CardLayout, LayoutState
from federation.models.releases import AgentRelease, AgentUpdates
from federation.models.servers import Server, ServerLease
from federation.models.sites import (
    Agent,
    AgentCall,
    AgentNode,
    AgentOrder,
    Cluster,
    ClusterKind,
    JoinToken,
    LogPart,
    Site,
)
from federation.models.watches import ClusterWatch
from federation.models.workloads import Workload, WorkloadKind

__all__ = [
    "Accelerator",
    "AcceleratorModel",
    "Agent",
    "AgentCall",
    "AgentNode",
    "AgentOrder",
    "AgentRelease",
    "AgentUpdates",
    "Allocation",
    "CapacityChange",
    "CardLayout",
    "Cluster",
    "ClusterCredential",
    "ClusterKind",
    "ClusterWatch",
    "EnergyHour",
    "Figures",
    "Health",
    "Image",
    "JoinToken",
    "LayoutState",
    "LedgerEntry",
    "LogPart",
    "Node",
    "Pool",
    "QueueOrder",
    "Server",
    "ServerLease",
    "Share",
    "Site",
    "Template",
    "Workload",
    "WorkloadKind",
]
