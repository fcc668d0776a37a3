"""The resource on a real API server: what it accepts, refuses, fills in and explains."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from local_kubernetes.errors import ClusterError
from schema_operator import duration
from tests.operator.fix_operator import ACCOUNT, MANIFESTS, RIGHTS, migration
from tests.operator.test_duration import BAD, GOOD
from tests.operator.test_job import TEMPLATE, manifest

if TYPE_CHECKING:
    from local_kubernetes.cluster import Cluster
    from tests.fix_cluster import Objects

STATUS = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-03-01T12:00:00Z",
            "reason": "UpToDate",
            "message": "forged",
        }
    ],
}


@pytest.fixture
def objects(installed: Cluster, objects: Objects) -> Objects:
    """The namespace of a cluster that knows the resource and has no operator."""
    return objects


def row(name: str, *values: Any) -> Any:
    return pytest.param(*values, id=name.replace(" ", "-"))


def dry_run(objects: Objects, document: dict[str, Any]) -> dict[str, Any]:
    said = objects.kubectl(
        "create",
        "--dry-run=server",
        "--validate=strict",
        "--output=json",
        "--filename=-",
        stdin=json.dumps(document),
    )
    accepted: dict[str, Any] = json.loads(said)
    return accepted


def refusal(objects: Objects, document: dict[str, Any]) -> str:
    """All that the server says of a resource that it does not accept."""
    cluster = objects.cluster
    ended = subprocess.run(
        [
            *(str(cluster.kubectl_path), f"--kubeconfig={cluster.kubeconfig}"),
            *("create", "--dry-run=server", "--validate=strict", "--filename=-"),
            f"--namespace={objects.namespace}",
        ],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0, ended.stdout
    return ended.stderr


def test_what_is_left_out_is_filled_in(objects: Objects) -> None:
    accepted = dry_run(objects, migration("shop"))
    assert accepted["status"] == {"observedGeneration": -1}
    assert accepted["spec"] == {
        "image": "local/pretender:1",
        "imagePullPolicy": "IfNotPresent",
        "database": {"urlSecretRef": {"name": "shop", "key": "DATABASE_URL"}},
        "target": "head",
        "allowDowngrade": False,
        "onDatabaseAhead": "Block",
        "approval": "NotRequired",
        "verifyInterval": "0s",
        "timeout": "15m",
        "lockTimeout": "2s",
        "statementTimeout": "0s",
        "suspend": False,
        "retry": {"limit": 5, "backoff": "10s", "maxBackoff": "5m"},
        "historyLimit": 5,
        "podTemplate": {"metadata": {}, "resources": {}},
    }


@pytest.mark.parametrize("how", [("create",), ("apply",), ("apply", "--server-side")], ids=" ".join)
def test_a_status_in_a_manifest_is_dropped(objects: Objects, how: tuple[str, ...]) -> None:
    document = migration("shop") | {"status": STATUS}
    objects.kubectl(*how, "--filename=-", stdin=json.dumps(document))
    found = objects.get("schemamigration", "shop")
    assert found is not None
    assert found["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize(
    "spec",
    [
        row("least", {}),
        row("base with its companion", {"target": "base", "allowDowngrade": True}),
        row("heads", {"target": "heads"}),
        row("a revision", {"target": "ae1027a6acf"}),
        row("a digest as image", {"image": "r.example:5000/a/b@sha256:" + "0" * 64}),
        row("a package with a path", {"tree": "shop.database:migrations/v2"}),
        row("a directory", {"tree": "/migrations"}),
        row("no retry", {"retry": {"limit": 0}}),
        row("null restores a default", {"retry": None}),
        row("the longest timeout", {"timeout": "168h"}),
        row("the shortest timeout", {"timeout": "1000ms"}),
        row("no history", {"historyLimit": 0}),
        row("an approved plan", {"approval": "Required", "approvedPlan": "sha256:" + "a" * 64}),
        row("a resolution", {"force": {"incident": "1f0c2d3e4b5a", "revision": "base"}}),
        row("a baseline", {"baseline": "0001"}),
        row("the shortest interval", {"verifyInterval": "10s"}),
        row("two dependencies", {"dependsOn": [{"name": "a"}, {"name": "b"}]}),
        row("a whole template", {"podTemplate": TEMPLATE}),
    ],
)
def test_a_good_resource_is_accepted(objects: Objects, spec: dict[str, Any]) -> None:
    dry_run(objects, migration("shop", **spec))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        row("no image", {"image": None}, "spec.image: Required value"),
        row("an empty image", {"image": ""}, "spec.image"),
        row("an image with a blank", {"image": "a b"}, "spec.image"),
        row("no Secret", {"database": {}}, "urlSecretRef: Required value"),
        row("a Secret with a bad name", {"database": {"urlSecretRef": {"name": "A"}}}, "name"),
        row("base without its companion", {"target": "base"}, "needs allowDowngrade: true"),
        row("a relative target", {"target": "+1"}, "spec.target"),
        row("a target that looks like a flag", {"target": "--sql"}, "spec.target"),
        row("an unknown policy", {"onDatabaseAhead": "Ignore"}, "Unsupported value"),
        row("a timeout without a unit", {"timeout": "900"}, "spec.timeout"),
        row("a timeout of zero", {"timeout": "0s"}, "timeout must be from 1s to 168h"),
        row("a timeout beyond a week", {"timeout": "169h"}, "timeout must be from 1s to 168h"),
        row("a timeout beyond all bounds", {"timeout": "9999999999999999999h"}, "spec.timeout"),
        row("no lock timeout", {"lockTimeout": "0s"}, "lockTimeout must be from 1ms"),
        row(
            "a backoff beyond its maximum",
            {"retry": {"backoff": "10m"}},
            "backoff <= maxBackoff <= 24h",
        ),
        row("no backoff", {"retry": {"backoff": "0s"}}, "100ms <= backoff"),
        row("a negative limit", {"retry": {"limit": -1}}, "spec.retry.limit"),
        row("a long history", {"historyLimit": 21}, "spec.historyLimit"),
        row("an unknown field", {"targetRevision": "1"}, "unknown field"),
        row("a security context", {"podTemplate": {"securityContext": {}}}, "unknown field"),
        row("the host's network", {"podTemplate": {"hostNetwork": True}}, "unknown field"),
        row("an init container", {"podTemplate": {"initContainers": []}}, "unknown field"),
        row(
            "a host path",
            {"podTemplate": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}},
            "unknown field",
        ),
        row(
            "a token by a projected volume",
            {
                "podTemplate": {
                    "volumes": [
                        {
                            "name": "token",
                            "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]},
                        }
                    ]
                }
            },
            "unknown field",
        ),
        row(
            "a volume without a source",
            {"podTemplate": {"volumes": [{"name": "none"}]}},
            "a volume has one of",
        ),
        row(
            "a volume called tmp",
            {"podTemplate": {"volumes": [{"name": "tmp", "emptyDir": {}}]}},
            "the name tmp is taken",
        ),
        row(
            "a mount over the report",
            {"podTemplate": {"volumeMounts": [{"name": "a", "mountPath": "/dev"}]}},
            "the pod's own",
        ),
        row(
            "the database's variable",
            {"podTemplate": {"env": [{"name": "DATABASE_URL", "value": "x"}]}},
            "set from the other fields",
        ),
        row(
            "a variable of the migrator",
            {"podTemplate": {"env": [{"name": "MIGRATE_TIMEOUT", "value": "1s"}]}},
            "set from the other fields",
        ),
        row("a plan that is no digest", {"approvedPlan": "sha256:1"}, "spec.approvedPlan"),
        row("an unknown approval", {"approval": "Maybe"}, "Unsupported value"),
        row(
            "a resolution without a revision",
            {"force": {"incident": "a"}},
            "spec.force.revision: Required value",
        ),
        row(
            "a resolution without an incident",
            {"force": {"revision": "0001"}},
            "spec.force.incident: Required value",
        ),
        row(
            "an incident that would end the variable",
            {"force": {"incident": "a=b", "revision": "1"}},
            "spec.force.incident",
        ),
        row("a relative baseline", {"baseline": "+1"}, "spec.baseline"),
        row("an interval that is too short", {"verifyInterval": "9s"}, "verifyInterval must be 0s"),
        row(
            "an interval that is too long",
            {"verifyInterval": "8761h"},
            "verifyInterval must be 0s",
        ),
        row("itself", {"dependsOn": [{"name": "shop"}]}, "can't depend on itself"),
        row(
            "the same dependency twice",
            {"dependsOn": [{"name": "a"}, {"name": "a"}]},
            "Duplicate value",
        ),
        row(
            "the same pull secret twice",
            {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]},
            "Duplicate value",
        ),
    ],
)
def test_a_bad_resource_is_refused_and_the_server_says_why(
    objects: Objects, spec: dict[str, Any], words: str
) -> None:
    assert words in refusal(objects, migration("shop", **spec))


@pytest.mark.parametrize("name", ["x" * 48, "shop.v1"])
def test_a_name_that_fits_no_job_is_refused(objects: Objects, name: str) -> None:
    with pytest.raises(ClusterError, match="at most 47 characters long and without dots"):
        dry_run(objects, migration(name))


def test_the_longest_name_is_accepted(objects: Objects) -> None:
    dry_run(objects, migration("x" * 47))


def test_the_database_can_not_be_changed(objects: Objects) -> None:
    objects.apply(migration("shop"))
    for reference in ({"name": "other"}, {"name": "shop", "key": "OTHER"}):
        change = {"spec": {"database": {"urlSecretRef": reference}}}
        with pytest.raises(ClusterError, match="immutable; create a new SchemaMigration"):
            objects.kubectl("patch", "smig", "shop", "--type=merge", f"-p={json.dumps(change)}")


def test_a_baseline_can_be_set_later_and_never_changed(objects: Objects) -> None:
    objects.apply(migration("shop"))
    objects.kubectl("patch", "smig", "shop", "--type=merge", '-p={"spec":{"baseline":"0001"}}')
    for other in ('"0002"', "null"):
        change = f'{{"spec":{{"baseline":{other}}}}}'
        with pytest.raises(ClusterError, match="baseline is immutable once set"):
            objects.kubectl("patch", "smig", "shop", "--type=merge", f"-p={change}")


def test_applying_the_same_again_changes_nothing(objects: Objects) -> None:
    objects.apply(migration("shop"))
    before = objects.get("schemamigration", "shop")
    objects.apply(migration("shop"))
    after = objects.get("schemamigration", "shop")
    assert before is not None
    assert after is not None
    assert before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


def test_durations_mean_the_same_to_the_server(objects: Objects) -> None:
    """CEL compares what the server read with what we read, for every row at once."""
    rules = [
        f"duration('{text}') == duration('{int(value.total_seconds() * 1000)}ms')"
        for text, value in GOOD.items()
    ]
    policy = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "durations.test.example"},
        "spec": {
            "group": "test.example",
            "scope": "Namespaced",
            "names": {"kind": "Duration", "plural": "durations"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "text": {
                                    "type": "string",
                                    "pattern": duration.PATTERN,
                                    "maxLength": duration.MAXIMUM_LENGTH,
                                }
                            },
                            "x-kubernetes-validations": [{"rule": rule} for rule in rules],
                        }
                    },
                }
            ],
        },
    }
    objects.apply(policy)
    objects.kubectl("wait", "--for=condition=Established", "crd/durations.test.example")

    def attempt(text: str) -> None:
        document = {
            "apiVersion": "test.example/v1",
            "kind": "Duration",
            "metadata": {"name": "one"},
            "text": text,
        }
        dry_run(objects, document)

    for text in GOOD:
        attempt(text)
    for text in BAD:
        if not text.endswith("\n"):  # the API server's pattern lets a last line end pass
            with pytest.raises(ClusterError):
                attempt(text)


def test_the_columns_and_the_short_name(objects: Objects) -> None:
    objects.apply(migration("shop"))
    header, line = objects.kubectl("get", "smig", "--output=wide").splitlines()
    assert header.split() == [
        *("NAME", "READY", "STATUS", "VERSION", "TARGET", "DIRTY", "AGE"),
        *("MESSAGE", "ATTEMPT", "IMAGE"),
    ]
    assert line.split()[:2] == ["shop", "head"]
    assert "shop" in objects.kubectl("get", "migrations", "--output=name")


def test_explain_tells_every_field(installed: Cluster) -> None:
    text = installed.kubectl("explain", "smig.spec.retry")
    assert "How many retries follow a first failure" in text
    for path in ("smig", "smig.spec", "smig.spec.database.urlSecretRef", "smig.status"):
        assert "<no description>" not in installed.kubectl("explain", path)


# Rights


def can(cluster: Cluster, user: str, *question: str) -> bool:
    try:
        return cluster.kubectl("auth", "can-i", *question, f"--as={user}").strip() == "yes"
    except ClusterError:
        return False


@pytest.mark.parametrize(
    "question",
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("get", "configmaps"),
        ("get", "pods/log"),
        ("create", "pods"),
        ("delete", "pods"),
        ("update", "schemamigrations"),
        ("patch", "schemamigrations"),
        ("delete", "schemamigrations"),
        ("patch", "jobs"),
    ],
    ids=" ".join,
)
def test_the_operator_may_not(installed: Cluster, question: tuple[str, ...]) -> None:
    assert not can(installed, ACCOUNT, *question, "--all-namespaces")


def test_no_rule_names_secrets_or_everything() -> None:
    documents = yaml.safe_load_all(RIGHTS.read_text())
    rules = [rule for document in documents for rule in document.get("rules", ())]
    assert rules
    for rule in rules:
        assert not {"secrets", "*"} & set(rule["resources"])
        assert "*" not in rule["verbs"]
        assert "*" not in rule["apiGroups"]


def test_the_rights_are_those_that_are_used_and_no_more() -> None:
    documents = list(yaml.safe_load_all(RIGHTS.read_text()))
    granted = {
        (document["metadata"].get("namespace", "everywhere"), resource, verb)
        for document in documents
        for rule in document.get("rules", ())
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    watched = {"schemamigrations", "jobs", "pods"}
    requested = {
        ("create", "jobs"),
        ("delete", "jobs"),
        ("patch", "schemamigrations/status"),
        ("create", "events"),
    }
    election = {("create", "leases"), ("get", "leases"), ("update", "leases"), ("watch", "leases")}
    assert granted == {
        *(("everywhere", resource, verb) for resource in watched for verb in ("list", "watch")),
        *(("everywhere", resource, verb) for verb, resource in requested),
        *(("schema-operator", resource, verb) for verb, resource in election),
    }


def test_who_may_edit_may_not_write_the_status(installed: Cluster, objects: Objects) -> None:
    objects.kubectl("create", "rolebinding", "editor", "--clusterrole=edit", "--user=ada")
    namespace = f"--namespace={objects.namespace}"
    assert can(installed, "ada", "create", "schemamigrations", namespace)
    assert not can(installed, "ada", "patch", "schemamigrations", "--subresource=status", namespace)


def test_the_operators_own_pod_is_restricted(installed: Cluster) -> None:
    """The namespace enforces it, so the server itself says so."""
    rendered = installed.kubectl("kustomize", str(MANIFESTS))
    deployment = next(
        document for document in yaml.safe_load_all(rendered) if document["kind"] == "Deployment"
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator", "namespace": "schema-operator"},
        "spec": deployment["spec"]["template"]["spec"],
    }
    installed.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))
    installed.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(deployment))


@pytest.mark.parametrize("template", [{}, TEMPLATE], ids=["plain", "with-a-whole-template"])
def test_the_migrators_job_is_accepted_and_its_pod_restricted(
    installed: Cluster, template: dict[str, Any]
) -> None:
    document = manifest(podTemplate=template)
    document["metadata"]["namespace"] = "schema-operator"  # it enforces the restricted standard
    installed.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(document))
    spec = document["spec"]["template"]["spec"]
    absent = {"serviceAccountName", "priorityClassName", "runtimeClassName"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "migrator", "namespace": "schema-operator"},
        "spec": {name: value for name, value in spec.items() if name not in absent},
    }
    installed.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))
