-- Health of a SchemaMigration: Healthy only when the database was read back at its target, for the
-- present spec. Written without any library, since Argo CD gives a script none for texts.
local health = {
  status = "Progressing",
  message = "Waiting for the operator to look at the resource"
}

local status = obj.status
if status == nil or status.observedGeneration == nil then
  return health
end

-- What is said of an older spec neither opens nor fails the gate for the present one.
if status.observedGeneration ~= obj.metadata.generation then
  health.message = "Waiting for the operator to look at the present spec"
  return health
end

local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

local ready = found["Ready"]
if ready == nil then
  return health
end
health.message = ready.reason .. ": " .. ready.message

if found["Stalled"] ~= nil and found["Stalled"].status == "True" then
  health.status = "Degraded"
elseif found["Reconciling"] ~= nil and found["Reconciling"].status == "True" then
  health.status = "Progressing"
elseif ready.status == "True" then
  health.status = "Healthy"
else
  -- Nothing is wrong and nothing goes on by itself: it is suspended or awaits an approval.
  health.status = "Suspended"
end
return health
