-- What a person can do with a SchemaMigration at this moment.
local actions = {
  retry = { disabled = true, displayName = "Run again" },
  approve = { disabled = true, displayName = "Approve the plan" }
}

local status = obj.status
if status == nil or status.observedGeneration ~= obj.metadata.generation then
  return actions
end

local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

-- A run that nobody will start, or that is due later, can be had now.
if found["Stalled"] ~= nil or status.nextAttemptTime ~= nil then
  actions.retry.disabled = false
end

local reason = found["Ready"] ~= nil and found["Ready"].reason or ""
if reason == "AwaitingApproval" or reason == "PlanOutdated" then
  local shown = status.plan ~= nil and status.plan.id or nil
  if shown ~= nil and shown ~= obj.spec.approvedPlan then
    actions.approve.disabled = false
  end
end
return actions
