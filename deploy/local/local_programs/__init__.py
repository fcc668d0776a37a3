"""Programs of others that ours are tried out with, and measured beside: ``python -m local_programs``.

What belongs here: the command lines and controllers that users of this product
have, compiled from their own Go modules once and cached, and what lies in those
modules beside them. What does not: Kubernetes itself (`local_kubernetes`), and
anything of the product.
"""
