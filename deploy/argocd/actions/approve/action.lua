-- Approves the plan that the status shows, and no other: one that changes needs a new approval.
obj.spec.approvedPlan = obj.status.plan.id
return obj
