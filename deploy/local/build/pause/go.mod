// What holds a pod's namespaces open on a real node: the smallest program that
// waits until it is told to end.
module schema-operator.local/pause

go 1.26.0
