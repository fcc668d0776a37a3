"""The names that are API: group, version, kind, and the keys of labels and annotations."""

from __future__ import annotations

import dataclasses
from typing import Final

GROUP: Final = "migrations.tenant-registry.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "SchemaMigration"
PLURAL: Final = "schemamigrations"
SINGULAR: Final = "schemamigration"
SHORT_NAME: Final = "smig"
CATEGORY: Final = "migrations"
API_VERSION: Final = f"{GROUP}/{VERSION}"

PROGRAM: Final = "schema-operator"
"""The operator's name: field manager, user agent, ServiceAccount and Lease."""

CONTAINER: Final = "migrate"
"""The container whose termination message is a run's report."""

LABEL_NAME: Final = f"{GROUP}/name"
"""On Jobs and pods: the resource they belong to."""

LABEL_UID: Final = f"{GROUP}/uid"
"""On Jobs and pods: that resource's uid; a resource made again under an old name differs here."""

LABEL_DATABASE: Final = f"{GROUP}/database"
"""On Jobs and pods: a hash of namespace, Secret and key. One run at a time has it."""

LABEL_ATTEMPT: Final = f"{GROUP}/attempt"
"""On Jobs and pods: the attempt, for people."""

LABEL_JOB_NAME: Final = "batch.kubernetes.io/job-name"
"""On pods, set by the Job controller."""

ANNOTATION_DIGEST: Final = f"{GROUP}/digest"
ANNOTATION_GENERATION: Final = f"{GROUP}/generation"
ANNOTATION_ATTEMPT: Final = f"{GROUP}/attempt"
ANNOTATION_RUN: Final = f"{GROUP}/run"
ANNOTATION_SERIES: Final = f"{GROUP}/series"
ANNOTATION_FAILURES: Final = f"{GROUP}/failures"
ANNOTATION_TIMEOUT: Final = f"{GROUP}/timeout"

ANNOTATION_REQUESTED_AT: Final = f"{GROUP}/requestedAt"
"""On the resource: any new value asks for another run."""


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Key:
    """The name of one SchemaMigration.

    Attributes:
        namespace: its namespace.
        name: its name there.
    """

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
