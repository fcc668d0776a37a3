"""What a person may add to the migrator's pod.

Every field that can be set is listed here, so nothing else gets through: no
security context, no host network, no second container, no token.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import pydantic

from schema_operator.model import OBJECT_NAME, Model, Open, listing, rule, rules, table, text

Quantity = Annotated[
    int | str,
    pydantic.WithJsonSchema({"x-kubernetes-int-or-string": True}),
]

_SOURCES: Final = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
)

_ONE_SOURCE: Final = (
    "[" + ", ".join(f"has(self.{source})" for source in _SOURCES) + "].filter(x, x).size() == 1"
)


class PodMetadata(Model):
    """Labels and annotations of the pod."""

    labels: dict[str, str] = table(32, 63)
    """Labels; the operator's own win."""

    annotations: dict[str, str] = table(64, 4096)
    """Annotations."""


class Toleration(Model):
    """A taint that the pod tolerates."""

    key: str | None = text(316, default=None)
    """The taint's key. Absent: all keys."""

    operator: str | None = text(16, default=None)
    """How the value is compared: Exists or Equal."""

    value: str | None = text(63, default=None)
    """The taint's value."""

    effect: str | None = text(32, default=None)
    """The taint's effect. Absent: all effects."""

    toleration_seconds: int | None = pydantic.Field(default=None, ge=-(2**31), le=2**31 - 1)
    """How long a NoExecute taint is tolerated."""


class HostAlias(Model):
    """A line of the pod's hosts file."""

    ip: str = text(45)
    """The address."""

    hostnames: tuple[Annotated[str, pydantic.Field(max_length=253)], ...] = listing(16)
    """The names that it has."""


class DNSOption(Model):
    """An option of the pod's resolver."""

    name: str = text(64)
    """The option's name."""

    value: str | None = text(64, default=None)
    """The option's value."""


class DNSConfig(Model):
    """What is added to the pod's resolver."""

    nameservers: tuple[Annotated[str, pydantic.Field(max_length=45)], ...] = listing(3)
    """Addresses of name servers."""

    searches: tuple[Annotated[str, pydantic.Field(max_length=253)], ...] = listing(32)
    """Domains that names are looked up in."""

    options: tuple[DNSOption, ...] = listing(16)
    """Options of the resolver."""


class Resources(Model):
    """What the migrator's container gets of the node."""

    requests: dict[str, Quantity] = pydantic.Field(
        default={}, json_schema_extra={"maxProperties": 8}
    )
    """What is set aside for it."""

    limits: dict[str, Quantity] = pydantic.Field(default={}, json_schema_extra={"maxProperties": 8})
    """The most that it may take."""


class EnvironmentVariable(Model):
    """A variable of the migrator's environment."""

    name: str = text(253, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")
    """Its name; DATABASE_URL and names that begin with MIGRATE_ are the operator's."""

    value: str | None = text(4096, default=None)
    """Its value."""

    value_from: Open | None = None
    """Where its value is found, as in any pod."""

    model_config = pydantic.ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.name != 'DATABASE_URL' && !self.name.startsWith('MIGRATE_')",
                "DATABASE_URL and MIGRATE_… are set from the other fields of the spec",
            )
        )
    )


class EnvironmentSource(Model):
    """An object whose keys become variables. The operator's own variables win."""

    prefix: str | None = text(253, default=None)
    """What is put before each key."""

    config_map_ref: Open | None = None
    """The ConfigMap, as in any pod."""

    secret_ref: Open | None = None
    """The Secret, as in any pod."""


class ProjectedSource(Model):
    """One source of a projected volume. A service account's token can't be one."""

    config_map: Open | None = None
    """Keys of a ConfigMap."""

    secret: Open | None = None
    """Keys of a Secret."""

    downward_api: Open | None = pydantic.Field(default=None, alias="downwardAPI")
    """Fields of the pod."""


class Projected(Model):
    """Several sources in one volume."""

    default_mode: int | None = pydantic.Field(default=None, ge=0, le=0o777)
    """The files' mode."""

    sources: tuple[ProjectedSource, ...] = listing(16)
    """The sources."""


class Volume(Model):
    """A volume of the pod, of one of the kinds that a restricted pod may have."""

    name: str = text(63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    """Its name; tmp is taken."""

    config_map: Open | None = None
    """A ConfigMap, as in any pod."""

    csi: Open | None = None
    """An ephemeral volume of a driver, as in any pod."""

    downward_api: Open | None = pydantic.Field(default=None, alias="downwardAPI")
    """Fields of the pod, as in any pod."""

    empty_dir: Open | None = None
    """An empty folder, as in any pod."""

    ephemeral: Open | None = None
    """A volume that is made for the pod, as in any pod."""

    persistent_volume_claim: Open | None = None
    """A claim, as in any pod."""

    projected: Projected | None = None
    """Several sources in one."""

    secret: Open | None = None
    """A Secret, as in any pod."""

    model_config = pydantic.ConfigDict(
        json_schema_extra=rules(
            rule(_ONE_SOURCE, f"a volume has one of {', '.join(_SOURCES)}"),
            rule("self.name != 'tmp'", "the name tmp is taken"),
        )
    )


class VolumeMount(Model):
    """Where the migrator's container sees a volume."""

    name: str = text(63)
    """The volume's name."""

    mount_path: str = text(1024, pattern=r"^/.+$")
    """The path in the container."""

    sub_path: str | None = text(1024, default=None)
    """The path in the volume."""

    read_only: bool | None = None
    """Whether it can only be read."""

    model_config = pydantic.ConfigDict(
        json_schema_extra=rules(
            rule(
                "!(self.mountPath == '/tmp' || self.mountPath.startsWith('/dev'))",
                "/tmp and /dev are the pod's own",  # noqa: S108 - a sentence
            )
        )
    )


class PodTemplate(Model):
    """What the migrator's pod has beyond what it always has."""

    metadata: PodMetadata = PodMetadata()
    """Labels and annotations of the pod."""

    service_account_name: str | None = text(253, default=None, pattern=OBJECT_NAME)
    """The service account that the pod has; its token is never mounted."""

    node_selector: dict[str, str] = table(32, 63)
    """The labels that the pod's node must have."""

    tolerations: tuple[Toleration, ...] = listing(32)
    """The taints that the pod tolerates."""

    affinity: Open | None = None
    """Which nodes the pod is drawn to, as in any pod."""

    topology_spread_constraints: tuple[Open, ...] = listing(16)
    """How pods are spread, as in any pod."""

    priority_class_name: str | None = text(253, default=None, pattern=OBJECT_NAME)
    """The pod's priority class."""

    runtime_class_name: str | None = text(253, default=None, pattern=OBJECT_NAME)
    """The pod's runtime class."""

    host_aliases: tuple[HostAlias, ...] = listing(32)
    """Lines of the pod's hosts file."""

    dns_config: DNSConfig | None = None
    """What is added to the pod's resolver."""

    resources: Resources = Resources()
    """What the migrator's container gets of the node, in place of the operator's defaults."""

    env: tuple[EnvironmentVariable, ...] = listing(64, "name")
    """Variables of the migrator's environment."""

    env_from: tuple[EnvironmentSource, ...] = listing(16)
    """Objects whose keys become variables."""

    volumes: tuple[Volume, ...] = listing(32, "name")
    """Volumes of the pod."""

    volume_mounts: tuple[VolumeMount, ...] = listing(32, "mountPath")
    """Where the migrator's container sees them."""

    def dump(self, *names: str) -> dict[str, Any]:
        """Return those of the named fields that are set, as Kubernetes writes them."""
        document = self.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude_unset=True, include=set(names)
        )
        return {name: value for name, value in document.items() if value not in ({}, [])}
