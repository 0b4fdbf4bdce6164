"""What each vendor's software writes into a cluster: one row per vendor. Data, not code: a new vendor is a new row.

A number that a node advertises is a count of *tokens*. Which of them are cards, shares of cards, hardware parts of
cards, or only amounts that go with a card, is what this table says; federation/drivers/kubernetes/devices.py reads it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from federation.accelerators.catalogue import EXCLUSIVE, PARTITIONED, PASSTHROUGH, SLICED


@dataclass(frozen=True, slots=True)
class Card:
    """A resource of which one unit is one whole card, unless labels say that cards are shared. `name` is a pattern:
    its group `model`, if any, is the card's model. Names with one `kind` are the same cards under several names."""

    name: str
    kind: str = ""
    mode: str = EXCLUSIVE


@dataclass(frozen=True, slots=True)
class Share:
    """Tokens of shared cards: several on each. `cards` is the resource that counts the cards beside it, if any."""

    name: str
    cards: str = ""


@dataclass(frozen=True, slots=True)
class Amount:
    """Compute of all cards together, `per_card` units to a card, and their memory in steps of `memory_step_mib`."""

    cores: str
    per_card: int
    memory: str = ""
    memory_step_mib: int = 1


@dataclass(frozen=True, slots=True)
class Part:
    """A resource that counts hardware parts. Groups of the pattern: `size` out of `whole`, `gib` of memory, `model` of
    the card. A part without a size is one of `per_card` equal ones."""

    name: str
    whole: int = 0
    per_card: int = 0


@dataclass(frozen=True, slots=True)
class Hami:
    """HAMi's annotations for one kind of card. `{}` stands for a word of `words`, each a model of its own."""

    register: str  # on the node: the cards
    handshake: str  # on the node: "Deleted_..." once their plugin was gone for a minute; "" if there is none
    allocated: str  # on the pod: what it holds
    use_uuid: str  # on the pod: which cards it may have
    resource: str = ""  # of which a pod asks for one to have one of these cards
    words: tuple[str, ...] = ("",)
    mode: str = SLICED
    cores_of: int = 100  # cores of a card in what a pod holds; 0: as the card registered
    prefix: str = ""  # put before the product's name in `type`


@dataclass(frozen=True, slots=True)
class Dra:
    """A driver of Dynamic Resource Allocation, and its own words for what is common to all of them."""

    driver: str
    mode: str = ""  # how it hands cards out when its slices do not say
    whole_types: tuple[str, ...] = ()  # attribute `type` of a whole card
    part_types: tuple[str, ...] = ()  # of a hardware part that exists
    passthrough_types: tuple[str, ...] = ()  # of the same card, for a virtual machine
    is_serial: bool = True  # attribute `uuid` is the hardware's; False: it is made of the node's name, or missing


@dataclass(frozen=True, slots=True)
class Vendor:
    name: str  # ours, as the catalogue has it
    domains: tuple[str, ...]  # of its resource names
    source: str
    cards: tuple[Card, ...] = ()
    shares: tuple[Share, ...] = ()
    amounts: tuple[Amount, ...] = ()
    parts: tuple[Part, ...] = ()
    besides: tuple[str, ...] = ()  # patterns of resources that are never a card
    product: tuple[str, ...] = ()  # labels; the first that is there counts
    memory: tuple[str, ...] = ()
    count: tuple[str, ...] = ()
    replicas: str = ""  # label of a resource ({}) with the number of tokens that each of its devices makes
    layout: tuple[str, ...] = ()  # label with the partition layout of all cards, as in the names of `parts`
    hami: tuple[Hami, ...] = ()
    dra: tuple[Dra, ...] = ()
    held: tuple[str, ...] = ()  # annotations of a pod that name its devices, as in `known_as`
    known_as: tuple[str, ...] = ()  # names of counted cards, of {node}, {index} and {kind} (resource, no domain)
    visible: str = ""  # variable that tells a container its devices


_ASCEND_WORDS = (
    "Ascend910A", "Ascend910B", "Ascend910B2", "Ascend910B3", "Ascend910B4", "Ascend910B4-1", "Ascend910C",
    "Ascend310P",
)  # fmt: skip
_ILUVATAR_WORDS = ("BI-V100", "BI-V150", "MR-V50", "MR-V100")

VENDORS: tuple[Vendor, ...] = (
    Vendor(
        "nvidia", ("nvidia.com",),
        "k8s-device-plugin and GPU feature discovery; dra-driver-nvidia-gpu; HAMi pkg/device/nvidia, k8s-dra-driver",
        cards=(Card(r"nvidia\.com/gpu"),),
        shares=(Share("nvidia.com/gpu.shared"),),
        parts=(Part(r"nvidia\.com/mig-(?P<size>\d)g\.(?P<gib>\d+)gb(?:\..*)?", whole=7),),
        besides=(r"nvidia\.com/gpumem(-percentage)?", r"nvidia\.com/gpucores", r"nvidia\.com/priority"),
        product=("nvidia.com/gpu.product",), memory=("nvidia.com/gpu.memory",), count=("nvidia.com/gpu.count",),
        replicas="{}.replicas",
        hami=(
            Hami(
                "hami.io/node-nvidia-register", "hami.io/node-handshake", "hami.io/vgpu-devices-allocated",
                "nvidia.com/use-gpuuuid", "nvidia.com/gpu", prefix="NVIDIA-",
            ),
        ),
        dra=(
            Dra("hami-core-gpu.project-hami.io", SLICED, ("hami-gpu", "gpu"), ("mig",), ("vfio",)),
            Dra("gpu.nvidia.com", "", ("gpu",), ("mig",), ("vfio",)),
        ),
        visible="NVIDIA_VISIBLE_DEVICES",
    ),
    Vendor(
        "amd", ("amd.com",),
        "ROCm k8s-device-plugin (configuration.md) and node labeller; ROCm k8s-gpu-dra-driver; HAMi pkg/device/amd",
        cards=(Card(r"amd\.com/gpu"),),
        parts=(
            Part(r"amd\.com/spx_nps\d", per_card=1), Part(r"amd\.com/dpx_nps\d", per_card=2),
            Part(r"amd\.com/tpx_nps\d", per_card=3), Part(r"amd\.com/qpx_nps\d", per_card=4),
            Part(r"amd\.com/cpx_nps\d", per_card=8),
        ),
        besides=(r"amd\.com/gpumem", r"amd\.com/gpucores"),
        product=("amd.com/gpu.product-name", "beta.amd.com/gpu.product-name"),
        memory=("amd.com/gpu.vram", "beta.amd.com/gpu.vram"), layout=("amd.com/compute-memory-partition",),
        hami=(
            Hami(
                "hami.io/node-amd-register", "", "hami.io/amd-devices-allocated", "amd.com/use-gpu-uuid", "amd.com/gpu",
                cores_of=0,
            ),
        ),
        dra=(Dra("gpu.amd.com", "", ("amdgpu",), ("amdgpu-partition",), ("vfio",), is_serial=False),),
        visible="AMD_VISIBLE_DEVICES",
    ),
    Vendor(
        "ascend", ("huawei.com",),
        "MindCluster ascend-device-plugin (pkg/common) and its labels; HAMi pkg/device/ascend, ascend-dra-driver",
        cards=(
            Card(r"huawei\.com/(?P<model>Ascend\d+[A-Z]?\d?(-1)?)"), Card(r"huawei\.com/npu", "npu"),
            Card(r"huawei\.com/ascend-\d+", "cce"),
        ),
        parts=(
            Part(r"huawei\.com/(?P<model>Ascend910)-(?P<size>\d+)c(\..*)?", whole=32),
            Part(r"huawei\.com/(?P<model>Ascend310P)-(?P<size>\d)c(\..*)?", whole=8),
        ),
        besides=(r"huawei\.com/Ascend\w+(-1)?-(memory|core)", r"huawei\.com/npu-core", r"huawei\.com/.*-Unhealthy"),
        product=("node.kubernetes.io/npu.chip.name",),
        hami=(
            Hami(
                "hami.io/node-register-{}", "hami.io/node-handshake-{}", "hami.io/{}-devices-allocated",
                "hami.io/use-{}-uuid", "huawei.com/{}", _ASCEND_WORDS, PARTITIONED,
            ),
        ),
        dra=(Dra("ascend.project-hami.io", "", ("NPU", "HAMivNPUCore"), is_serial=False),),
        held=("huawei.com/AscendReal",), known_as=("{kind}-{index}",), visible="ASCEND_VISIBLE_DEVICES",
    ),
    Vendor(
        "cambricon", ("cambricon.com",), "cambricon-k8s-device-plugin (pkg/mlu, nodeLabel); HAMi pkg/device/cambricon",
        cards=(Card(r"cambricon\.com/mlu"), Card(r"cambricon\.com/(?P<model>mlu\d+(-x\w+)?)")),
        shares=(Share("cambricon.com/mlu.share"), Share("cambricon.com/vmlu")),
        amounts=(Amount("cambricon.com/mlu.smlu.vcore", 100, "cambricon.com/mlu.smlu.vmemory", 256),),
        parts=(Part(r"cambricon\.com/(?P<model>mlu\d+(-x\w+)?)\.mim-(?P<size>\d+)m\.(?P<gib>\d+)gb"),),
        besides=(r"cambricon\.com/.*\.smlu\..*", r"cambricon\.com/real-mlu-counts"), product=("Model",),
        hami=(Hami("", "", "hami.io/cambricon-mlu-devices-allocated", "cambricon.com/use-gpuuuid"),),
        known_as=("{node}-cambricon-mlu-{index}",), visible="CAMBRICON_VISIBLE_DEVICES",
    ),
    Vendor(
        "hygon", ("hygon.com",),
        "DCU device plugin and labels (developer.sourcefind.cn); k8s-hcu-dra-driver; HAMi pkg/device/hygon",
        cards=(Card(r"hygon\.com/(dcu|hcu)"),),
        shares=(Share("hygon.com/dcunum"), Share("hygon.com/hcunum"), Share("hygon.com/dcu-share")),
        parts=(Part(r"hygon\.com/dcu-mig-(?P<size>\d+)g-(?P<gib>\d+)gb", whole=8),),
        besides=(r"hygon\.com/[dh]cu(mem|cores)", r"hygon\.com/dcu-share-.*"),
        product=("hygon.com/dcu.name",), memory=("hygon.com/dcu.vram",),
        hami=(
            Hami(
                "hami.io/node-dcu-register", "hami.io/node-handshake-dcu", "hami.io/dcu-devices-allocated",
                "hygon.com/use-gpuuuid", "hygon.com/dcunum", prefix="DCU-",
            ),
        ),
        dra=(Dra("dra.hygon.com", SLICED, ("hcu",)),), visible="HYGON_VISIBLE_DEVICES",
    ),
    Vendor(
        "metax", ("metax-tech.com",), "MetaX Kubernetes component guide (gpu-device, gpu-label); HAMi pkg/device/metax",
        cards=(Card(r"metax-tech\.com/gpu"), Card(r"metax-tech\.com/vfio-gpu", "vfio", PASSTHROUGH)),
        shares=(Share("metax-tech.com/sgpu"),), besides=(r"metax-tech\.com/v(core|memory)",),
        product=("metax-tech.com/gpu.product",), memory=("metax-tech.com/gpu.memory",),
        hami=(
            Hami(
                "metax-tech.com/node-gpu-devices", "", "hami.io/metax-sgpu-devices-allocated",
                "metax-tech.com/use-gpuuuid", "metax-tech.com/sgpu",
            ),
            Hami("", "", "hami.io/metax-gpu-devices-allocated", "", "metax-tech.com/gpu"),
        ),
        known_as=("{node}-metax-{index}",), visible="METAX_VISIBLE_DEVICES",
    ),
    Vendor(
        "moore-threads", ("mthreads.com",),
        "Moore Threads cloud-native guide (docs.mthreads.com); HAMi pkg/device/mthreads",
        cards=(Card(r"mthreads\.com/gpu"),), shares=(Share("mthreads.com/vgpu"),),
        amounts=(Amount("mthreads.com/sgpu-core", 16, "mthreads.com/sgpu-memory", 512),),
        hami=(Hami("", "", "hami.io/mthreads-vgpu-devices-allocated", "mthreads.ai/use-gpuuuid", cores_of=16),),
        known_as=("{node}-mthreads-{index}",), visible="MTHREADS_VISIBLE_DEVICES",
    ),
    Vendor(
        "iluvatar", ("iluvatar.com", "iluvatar.ai"),
        "deep-spark ix-device-plugin (pkg/config); HAMi pkg/device/iluvatar",
        cards=(Card(r"iluvatar\.(com|ai)/gpu"),),
        shares=(Share("iluvatar.ai/vgpu"), *(Share(f"iluvatar.ai/{word}-vgpu") for word in _ILUVATAR_WORDS)),
        amounts=(
            Amount("iluvatar.ai/vcuda-core", 100, "iluvatar.ai/vcuda-memory", 256),
            *(Amount(f"iluvatar.ai/{w}.vCore", 100, f"iluvatar.ai/{w}.vMem", 256) for w in _ILUVATAR_WORDS),
        ),
        hami=(
            Hami(
                "hami.io/node-{}-register", "hami.io/node-handshake-{}", "hami.io/{}-devices-allocated",
                "hami.io/use-{}-uuid", "iluvatar.ai/{}-vgpu", _ILUVATAR_WORDS, prefix="Iluvatar-",
            ),
            Hami(
                "hami.io/node-iluvatar-register", "hami.io/node-handshake", "hami.io/iluvatar-vgpu-devices-allocated",
                "iluvatar.ai/use-gpuuuid", "iluvatar.ai/vgpu", prefix="Iluvatar-",
            ),
        ),
        visible="IX_VISIBLE_DEVICES",
    ),
    Vendor(
        "enflame", ("enflame.com",),
        "EnflameTechnology gcushare (consts), gcu-feature-discovery; HAMi pkg/device/enflame",
        cards=(Card(r"enflame\.com/gcu"),),
        shares=(
            Share("enflame.com/shared-gcu", "enflame.com/gcu-count"),
            Share("enflame.com/drs-gcu", "enflame.com/gcu-count"),
            Share("enflame.com/vgcu"),
        ),
        besides=(r"enflame\.com/vgcu-percentage", r"enflame\.com/gcu-(memory|core)", r"enflame\.com/gcu-count"),
        product=("enflame.com/gcu.model",), memory=("enflame.com/gcu.memory",), count=("enflame.com/gcu.count",),
        hami=(
            Hami("", "", "hami.io/enflame-vgpu-devices-allocated", "enflame.com/use-gpuuuid"),
            Hami("", "", "hami.io/enflame-gcu-devices-allocated", "enflame.com/use-gpuuuid"),
        ),
        known_as=("{node}-enflame-{index}", "{node}-GCU-{index}"), visible="ENFLAME_VISIBLE_DEVICES",
    ),
    Vendor(
        "kunlunxin", ("kunlunxin.com",),
        "kunlunxpu xpu-device-plugin; HAMi pkg/device/kunlun (device, vdevice)",
        cards=(Card(r"(kunlunxin|baidu)\.com/xpu"),), shares=(Share("kunlunxin.com/vxpu"),),
        besides=(r"kunlunxin\.com/vxpu-memory", r"baidu\.com/xpu-mem"),
        hami=(
            Hami(
                "hami.io/node-register-xpu", "hami.io/node-handshake-xpu", "hami.io/xpu-devices-allocated",
                "hami.io/use-xpu-uuid", "kunlunxin.com/vxpu", mode=PARTITIONED,
            ),
            Hami("", "", "hami.io/kunlun-allocated", "baidu.com/use-gpuuuid"),
        ),
        known_as=("{node}-kunlun-{index}",), visible="XPU_VISIBLE_DEVICES",
    ),
)  # fmt: skip

# Extended resources that are no accelerators, by any vendor: networks, files, security and video hardware, tokens of
# schedulers. What is none of these and has no row above counts as an accelerator of an unknown vendor: a card that is
# overlooked cannot be used by anybody, while a token that is no card is seen at once and gets a line here.
NO_ACCELERATOR_DOMAINS = re.compile(
    r"(.*\.)?(kubernetes\.io|k8s\.io|amazonaws\.com|openshift\.io|kubevirt\.io|networking\.gke\.io|koordinator\.sh|"
    r"volcano\.sh|kueue\.x-k8s\.io|hami\.io|squat\.ai|k8s\.cni\.cncf\.io|mellanox\.com|rdma|smarter-devices|aliyun|"
    r"github\.com|(sgx|qat|dsa|iaa|dlb|fpga)\.intel\.com|xilinx\.com|solarflare\.com|tke\.cloud\.tencent\.com)"
)
NO_ACCELERATOR_WORDS = frozenset({
    "audio", "bandwidth", "camera", "core", "cores", "cpu", "disk", "dpu", "eip", "eni", "eth", "fuse", "hca",
    "hostdev", "ib", "infiniband", "ip", "kvm", "license", "loop", "mem", "memory", "monitoring", "net",
    "netdevice", "nic", "nvme", "percentage", "pf", "priority", "rdma", "roce", "serial", "slot", "slots",
    "sound", "sriov", "ssd", "storage", "tap", "token", "tokens", "tty", "tun", "usb", "vcore", "vf", "vfs",
    "vhost", "video", "vmem", "vmemory", "volumes",
})  # fmt: skip
MOST_UNKNOWN = 64  # no server has more cards than this: whatever is advertised so often is not a card

# Drivers of Dynamic Resource Allocation that have no accelerators; others are judged by what their devices say.
NO_ACCELERATOR_DRIVERS = re.compile(
    r"dra\.(cpu|memory|net|hugepages)|.*(sriov|cpu|nic|net|rdma|cni|memory)[^.]*\..*|.*nvme.*"
)
ACCELERATOR_WORDS = frozenset({
    "gpu", "npu", "xpu", "tpu", "dcu", "hcu", "mlu", "gcu", "ppu", "ipu", "hpu", "neuron", "accelerator",
})  # fmt: skip

BY_NAME: Mapping[str, Vendor] = {vendor.name: vendor for vendor in VENDORS}
BY_DOMAIN: Mapping[str, Vendor] = {domain: vendor for vendor in VENDORS for domain in vendor.domains}
BY_DRIVER: Mapping[str, tuple[Vendor, Dra]] = {dra.driver: (vendor, dra) for vendor in VENDORS for dra in vendor.dra}
