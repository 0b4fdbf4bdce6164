"""Images and templates: add, change, put away; and what work gets from them."""

from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Count, F

from federation.forms import CONTAINER, SERVER, VM, forms_at
from federation.models import Image, Node, Pool, Template, WorkloadKind
from federation.states import NodeState
from portal import audit
from portal.audit import Actor
from portal.errors import ConcurrentUpdate, Invalid
from portal.models import Project, Tenant

E = TypeVar("E", Image, Template)
RUNTIMES = "labels__aquifer.io/runtimes"


@transaction.atomic
def add(entry: type[Image] | type[Template], *, by: Actor, tenant: Tenant | None, **facts: Any) -> Image | Template:
    """One more; without a tenant for everybody."""
    made = entry(tenant=tenant, **facts)
    _check(made)
    _save(lambda: made.save())
    audit.record(by=by, what=f"{entry._meta.model_name}.create", target=made, detail={"name": made.name})
    return made


@transaction.atomic
def edit(*, by: Actor, entry: E, **facts: Any) -> E:
    """Change what it says. Work that was made from it keeps what it got."""
    kind = type(entry)
    for name, value in facts.items():
        setattr(entry, name, value)
    _check(entry)
    rows = kind.objects.filter(pk=entry.pk, version=entry.version)
    if not _save(lambda: rows.update(version=F("version") + 1, **facts)):
        raise ConcurrentUpdate()
    entry.refresh_from_db()
    said = {name: str(value)[:200] for name, value in facts.items()}
    audit.record(by=by, what=f"{kind._meta.model_name}.edit", target=entry, detail=said)
    return entry


def _save(write: Any) -> Any:
    try:
        with transaction.atomic():
            return write()
    except IntegrityError as error:
        if "slug_once" not in str(error):
            raise
        raise Invalid.field("slug", "There is one of this name already.", "taken") from None


def _check(entry: Image | Template) -> None:
    if isinstance(entry, Template):
        return
    if entry.form == CONTAINER:
        for name in ("url", "format"):
            if getattr(entry, name):
                raise Invalid.field(name, "A container image is known by its reference alone.", "not-taken")
    elif entry.url and not entry.sha256:
        raise Invalid.field("sha256", "What is fetched is checked: give the SHA-256 of the file.", "required")
    if entry.form == VM and entry.format == "iso":
        raise Invalid.field("format", "A virtual machine starts from a disk: qcow2 or raw.", "bad-format")


def chosen(image: Image, given: dict[str, Any]) -> dict[str, Any]:
    """The fields of new work that starts from this image. What was said of it beside stays."""
    if given.get("image"):
        raise Invalid.field("image", "Name an image or choose one of the catalogue, not both.", "either-or")
    kind = given.get("kind", WorkloadKind.BATCH)
    if image.form != CONTAINER and kind != image.form:
        words = "virtual machine" if image.form == VM else "whole server"
        raise Invalid.field("kind", f"This image starts a {words}: choose the kind {image.form}.", "image-kind")
    if image.form == CONTAINER and kind in (VM, SERVER):
        raise Invalid.field("catalogue_image", "This is a container image; a machine starts from a disk.", "image-kind")
    fields: dict[str, Any] = {**given, "image": image.reference}
    if image.form == CONTAINER:
        return fields
    boot = {**given.get("boot", {})}
    disk = boot.get("disk_mib", 0)
    if disk and disk < image.min_disk_mib:
        raise Invalid.field("boot/disk_mib", f"This image needs a disk of {image.min_disk_mib} MiB.", "too-small")
    fetched = {"image_url": image.url, "image_sha256": image.sha256, "image_format": image.format}
    boot |= {name: value for name, value in fetched.items() if value}
    boot["disk_mib"] = disk or image.min_disk_mib
    if image.form == SERVER and image.format == "iso":
        boot.setdefault("boot_from", "virtual-media")
    fields["boot"] = boot
    return fields


def for_project(project: Project, image: Any) -> Image:
    """The image of this id, if work of the project may start from it. Raises Invalid."""
    found: Image | None = Image.objects.for_tenant(project.tenant).filter(pk=image).first()
    if found is None:
        raise Invalid.field("catalogue_image", "There is no such image in the catalogue of this tenant.", "no-image")
    return found


def places(image: Image) -> list[tuple[Pool, int, int]]:
    """Of each pool: how many of its nodes run what the image starts, and how many it has."""
    rows: Any = (
        Node.objects.exclude(state=NodeState.GONE)
        .values_list("cluster_id", "cluster__driver", "cluster__kind", RUNTIMES, "cluster__settings__default_image")
        .annotate(n=Count("pk"))
    )
    all_of: dict[Any, int] = {}
    runs: dict[Any, int] = {}
    for cluster, driver, kind, runtimes, default_image, n in rows:
        forms = forms_at(driver, kind, {"aquifer.io/runtimes": runtimes or ""}, default_image or "")
        all_of[cluster] = all_of.get(cluster, 0) + n
        if not forms or image.form in forms:
            runs[cluster] = runs.get(cluster, 0) + n
    found = []
    for pool in Pool.objects.prefetch_related("clusters").order_by("name"):
        clusters = [cluster.pk for cluster in pool.clusters.all()] or list(all_of)
        found.append((pool, sum(runs.get(c, 0) for c in clusters), sum(all_of.get(c, 0) for c in clusters)))
    return found
