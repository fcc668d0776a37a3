-- Asks for another run, by a value that was not there before. A clock is not to be had here, nor
-- is it needed: the resource's version moves with each change, this one included. Two who press
-- at the same moment have seen the same version and get one run.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["migrations.tenant-registry.dev/requestedAt"] =
  "argocd-" .. obj.metadata.resourceVersion
return obj
