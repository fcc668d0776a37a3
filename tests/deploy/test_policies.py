"""The policies on a real API server: who is refused what, and in which words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from local_kubernetes.errors import ClusterError
from tests.deploy.manifests import DEPLOY
from tests.fix_cluster import eventually
from tests.operator.fix_operator import migration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_kubernetes.cluster import Cluster
    from tests.fix_cluster import Objects

PLAN = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
FORCE = {"incident": "i-1", "revision": "0001"}
ALLOWED = "registry.example/tenant-registry-migrations"
DIGEST = "@sha256:" + "0" * 64


@pytest.fixture
def guarded(installed: Cluster, objects: Objects) -> Objects:
    """A namespace with a deployer, an approver, and both policies in force."""
    for name in ("approval", "images"):
        installed.kubectl("apply", "--server-side", f"--filename={DEPLOY}/policies/{name}.yaml")
    objects.kubectl("create", "rolebinding", "dan", "--clusterrole=edit", "--user=dan")
    role = "--clusterrole=schema-operator-approve"
    objects.kubectl("create", "rolebinding", "ada", role, "--user=ada")
    return objects


def enforce(objects: Objects, label: str, spec: dict[str, Any]) -> None:
    """Puts a policy in force for the namespace, and waits until it refuses what it must."""
    objects.kubectl("label", "namespace", objects.namespace, label)
    eventually(lambda: refused(objects, "dan", "create", spec))


def call(objects: Objects, user: str, *arguments: str, stdin: str = "") -> None:
    """kubectl as somebody.

    Raises:
        ClusterError: it is refused.
    """
    objects.kubectl(f"--as={user}", *arguments, stdin=stdin)


def create(objects: Objects, user: str, **spec: Any) -> None:
    call(objects, user, "create", "--filename=-", stdin=json.dumps(migration("shop", **spec)))


def patch(objects: Objects, user: str, **spec: Any) -> None:
    change = json.dumps({"spec": spec})
    call(objects, user, "patch", "smig", "shop", "--type=merge", f"--patch={change}")


def refused(objects: Objects, user: str, verb: str, spec: dict[str, Any]) -> bool:
    document = json.dumps(migration("probe", **spec))
    try:
        call(objects, user, verb, "--dry-run=server", "--filename=-", stdin=document)
    except ClusterError as error:
        return "ValidatingAdmissionPolicy" in str(error)
    return False


@pytest.mark.parametrize("name", ["schema-migration-approval", "schema-migration-images"])
def test_the_server_understands_every_expression(guarded: Objects, name: str) -> None:
    def checked() -> dict[str, Any] | None:
        said = guarded.kubectl("get", "validatingadmissionpolicy", name, "--output=json")
        policy: dict[str, Any] = json.loads(said)
        status: dict[str, Any] = policy.get("status", {})
        seen = status.get("observedGeneration") == policy["metadata"]["generation"]
        return status if seen else None

    assert eventually(checked).get("typeChecking", {}) == {}


# Approval


@pytest.fixture
def approval(guarded: Objects) -> Objects:
    """A namespace where plans are approved."""
    enforce(guarded, "migrations.tenant-registry.dev/approval=required", {"approvedPlan": PLAN})
    return guarded


REQUIRED = {"approval": "Required"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"approvedPlan": PLAN}, "spec.approvedPlan is set by who holds the verb approve"),
        ({"force": FORCE}, "spec.force is set by who holds the verb approve"),
        ({"approval": "NotRequired"}, "in this namespace spec.approval is Required"),
    ],
    ids=["approving", "forcing", "doing-without"],
)
def test_who_deploys_does_not_approve(approval: Objects, spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ClusterError, match=words):
        create(approval, "dan", **(REQUIRED | spec))
    create(approval, "dan", **REQUIRED)
    with pytest.raises(ClusterError, match=words):
        patch(approval, "dan", **spec)


def test_who_deploys_changes_all_else_beside_an_approval(approval: Objects) -> None:
    create(approval, "dan", **REQUIRED)
    patch(approval, "ada", approvedPlan=PLAN, force=FORCE)
    patch(approval, "dan", image="local/pretender:2", timeout="20m")
    document = migration("shop", image="local/pretender:3")
    document["spec"] |= {**REQUIRED, "approvedPlan": PLAN, "force": FORCE}
    call(approval, "dan", "replace", "--filename=-", stdin=json.dumps(document))
    call(approval, "dan", "annotate", "smig", "shop", "a=b")
    with pytest.raises(ClusterError, match=r"spec\.approvedPlan is set by"):
        patch(approval, "dan", approvedPlan=OTHER)
    with pytest.raises(ClusterError, match=r"spec\.force is set by"):
        patch(approval, "dan", force={"incident": "i-2"})


def test_who_deploys_may_take_an_approval_back(approval: Objects) -> None:
    """That only holds a migration up."""
    create(approval, "dan", **REQUIRED)
    patch(approval, "ada", approvedPlan=PLAN)
    patch(approval, "dan", approvedPlan=None)
    with pytest.raises(ClusterError, match=r"spec\.approvedPlan is set by"):
        patch(approval, "dan", approvedPlan=PLAN)


def test_who_approves_does_not_deploy(approval: Objects) -> None:
    create(approval, "dan", **REQUIRED, tree="shop")
    patch(approval, "ada", approvedPlan=PLAN)
    patch(approval, "ada", approvedPlan=OTHER, force=FORCE)
    words = "only spec.approvedPlan and spec.force can be changed without the verb update"
    for spec in ({"image": "local/own:1"}, {"target": "0001"}, {"timeout": "1h"}, {"tree": None}):
        with pytest.raises(ClusterError, match=words):
            patch(approval, "ada", **spec)
    with pytest.raises(ClusterError, match="cannot create resource"):
        call(approval, "ada", "create", "--filename=-", stdin=json.dumps(migration("other")))


def test_who_may_patch_everything_still_needs_the_verb(approval: Objects) -> None:
    """As the server of Argo CD, for which its users press `retry` and `approve`."""
    approval.kubectl("create", "role", "argo", "--verb=get,patch,delete", "--resource=*.*")
    approval.kubectl("create", "rolebinding", "argo", "--role=argo", "--user=argo")
    create(approval, "dan", **REQUIRED)
    call(approval, "argo", "annotate", "smig", "shop", "a=b")
    with pytest.raises(ClusterError, match=r"spec\.approvedPlan is set by"):
        patch(approval, "argo", approvedPlan=PLAN)
    role = "--clusterrole=schema-operator-approve"
    approval.kubectl("create", "rolebinding", "argocd-approves", role, "--user=argo")
    eventually(lambda: patched(approval, "argo", approvedPlan=PLAN))


def patched(objects: Objects, user: str, **spec: Any) -> bool:
    """Whether a change passes; a right that was given just now takes a moment."""
    try:
        patch(objects, user, **spec)
    except ClusterError:
        return False
    return True


def test_who_may_do_everything_is_in_nobodys_way(approval: Objects) -> None:
    approval.apply(migration("shop", approvedPlan=PLAN, force=FORCE))
    approval.apply(migration("shop", image="local/pretender:2"))


def test_elsewhere_nothing_changes(guarded: Objects) -> None:
    create(guarded, "dan", approvedPlan=PLAN)
    patch(guarded, "dan", approvedPlan=OTHER)


# Images


@pytest.fixture
def images(guarded: Objects) -> Objects:
    """A namespace where images are listed."""
    enforce(guarded, "migrations.tenant-registry.dev/images=listed", {"image": "local/own:1"})
    return guarded


@pytest.mark.parametrize("rest", ["", ":1.4.0", DIGEST, f":1.4.0{DIGEST}"])
def test_a_listed_image_may_run(images: Objects, rest: str) -> None:
    create(images, "dan", image=ALLOWED + rest)
    patch(images, "dan", timeout="20m")


@pytest.mark.parametrize(
    "image",
    [
        "local/own:1",
        f"{ALLOWED}-of-mine:1",
        f"{ALLOWED}/below:1",
        f"{ALLOWED}:5000/own:1",
        f"evil.example/{ALLOWED}:1",
        f"{ALLOWED}@sha256:short",
    ],
)
def test_another_image_may_not(images: Objects, image: str) -> None:
    with pytest.raises(ClusterError, match=f"is none of those that may run here: {ALLOWED}"):
        create(images, "dan", image=image)
    create(images, "dan", image=ALLOWED)
    with pytest.raises(ClusterError, match="is none of those that may run here"):
        patch(images, "dan", image=image)


def test_a_resource_that_was_there_before_can_still_be_changed(guarded: Objects) -> None:
    create(guarded, "dan", image="local/own:1")
    enforce(guarded, "migrations.tenant-registry.dev/images=listed", {"image": "local/own:1"})
    patch(guarded, "dan", suspend=True)


def test_a_list_can_name_a_whole_registry_and_want_digests(
    guarded: Objects, own_list: Callable[[dict[str, str]], None]
) -> None:
    own_list({"repositories": "one.example/a\n\n  two.example/team/\n", "digest": "required"})
    for image in (f"two.example/team/a/b{DIGEST}", f"one.example/a:1{DIGEST}"):
        assert not refused(guarded, "dan", "create", {"image": image})
    with pytest.raises(ClusterError, match="needs a digest here"):
        create(guarded, "dan", image="two.example/team/a:1")
    with pytest.raises(ClusterError, match=r"may run here: one\.example/a, two\.example/team/"):
        create(guarded, "dan", image=f"two.example/teams/a{DIGEST}")


def test_an_empty_list_lets_nothing_run(
    guarded: Objects, own_list: Callable[[dict[str, str]], None]
) -> None:
    own_list({})
    assert refused(guarded, "dan", "create", {"image": ALLOWED})


@pytest.fixture
def own_list(guarded: Objects) -> Iterator[Callable[[dict[str, str]], None]]:
    """Binds the policy to a list of the namespace's own; before there is one, nothing may run."""
    name = guarded.namespace
    _, binding, _ = yaml.safe_load_all((DEPLOY / "policies" / "images.yaml").read_text())
    binding["metadata"]["name"] = name
    binding["spec"]["paramRef"] |= {"name": "images", "namespace": name}
    labels = binding["spec"]["matchResources"]["namespaceSelector"]["matchLabels"]
    labels.clear()
    labels["kubernetes.io/metadata.name"] = name
    guarded.apply(binding)
    eventually(lambda: refused(guarded, "dan", "create", {"image": "one.example/a"}))

    def write(data: dict[str, str]) -> None:
        guarded.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "images"}, "data": data}
        )
        if data:
            known = {"image": f"one.example/a{DIGEST}"}
            eventually(lambda: not refused(guarded, "dan", "create", known))

    yield write
    guarded.kubectl("delete", "validatingadmissionpolicybinding", name)
