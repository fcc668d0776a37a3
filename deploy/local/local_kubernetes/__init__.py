"""A real Kubernetes on one machine, and a node that runs processes.

What belongs here: the control plane (etcd, API server, controller manager,
scheduler) as it is released, compiled, started, stopped; and a small program
that stands in for a kubelet. What does not: anything of the product. The
package knows no SchemaMigration, and the product never imports it.
"""
