package swarmproof.authz

import data.swarmproof.members

# An operation is allowed when every check that it requires is proven. Checks are positive: an
# absent attribute proves nothing, so it denies. Nothing is allowed by not being forbidden.

# METADATA
# entrypoint: true
decision := {"allow": allow, "reasons": reasons, "obligations": {}}

default allow := false

allow if {
	required[operation]
	count(unproven) == 0
}

reasons := required[operation] if allow

# In the order of `required`: the first one is the refusal's code.
reasons := unproven if {
	not allow
	required[operation]
}

# Through `known`: with `required[operation]` inside the `not`, an input without an action would make
# this undefined as well.
reasons := ["default_deny"] if not known

known if required[operation]

unproven := [check |
	some check in required[operation]
	not proven[check]
]

operation := concat(" ", [input.action.name, input.resource.type])

required := {
	"chat model": ["subject_known", "service_granted", "model_granted", "budget_left"],
	"embeddings model": ["subject_known", "service_granted", "model_granted", "budget_left"],
	"models/list service": ["subject_known", "service_granted"],
	"fine_tune model": ["subject_known", "service_granted", "training_granted"],
	"query collection": ["subject_known", "service_granted", "collection_readable", "own_district"],
	"upsert collection": ["subject_known", "service_granted", "collection_writable", "own_district"],
	"tools/list service": ["subject_known", "service_granted"],
	"tools/call tool": [
		"subject_known", "service_granted", "tool_granted",
		"arguments_within_bounds", "own_district",
	],
	"works/order works": ["subject_known", "service_granted", "orders_works"],
	"works/read works": ["subject_known", "service_granted", "orders_works"],
	"ledger/query service": ["subject_known", "reads_ledger"],
}

subject := members.member(input.subject.id)

grants := members.grants(input.subject.id)

# METADATA
# title: The subject is a member of this swarm.
# custom: { check: subject_known }
proven contains "subject_known" if {
	subject
	input.subject.properties.trust_domain == data.swarm.trust_domain
}

# METADATA
# title: The subject may use the service it calls.
# custom: { check: service_granted }
proven contains "service_granted" if input.resource.properties.service in grants.services

# METADATA
# title: The model is on the subject's list.
# custom: { check: model_granted }
proven contains "model_granted" if input.resource.id in grants.models

# METADATA
# title: Who may query may not train; training is a grant of its own, and excludes the other.
# custom: { check: training_granted }
proven contains "training_granted" if {
	input.resource.id in grants.train
	count(grants.models) == 0
}

# METADATA
# title: Calls and tokens stay within the subject's budget.
# custom: { check: budget_left }
proven contains "budget_left" if {
	usage := input.context.usage

	# Rego orders null and booleans below every number.
	is_number(usage.calls_minute)
	is_number(usage.tokens_hour)
	usage.calls_minute < grants.budget.calls_per_minute
	usage.tokens_hour < grants.budget.tokens_per_hour
}

# METADATA
# title: The subject may read the collection.
# custom: { check: collection_readable }
proven contains "collection_readable" if "read" in grants.collections[input.resource.id]

# METADATA
# title: The subject may write the collection, and is not one of those that query it.
# custom: { check: collection_writable }
proven contains "collection_writable" if {
	permitted := grants.collections[input.resource.id]
	"write" in permitted
	not "read" in permitted
}

# METADATA
# title: The tool is on the subject's list.
# custom: { check: tool_granted }
proven contains "tool_granted" if input.resource.id in grants.tools

# METADATA
# title: Every argument is one the tool has, and lies within its bounds.
# custom: { check: arguments_within_bounds }
proven contains "arguments_within_bounds" if {
	bounds := data.swarm.tools[input.resource.id].arguments
	arguments := input.action.properties.arguments
	is_object(arguments)
	{name | some name, _ in bounds} == {name | some name, _ in arguments}
	every name, value in arguments {
		within(bounds[name], value)
	}
}

# METADATA
# title: The resource belongs to the subject's own district, or to none.
# custom: { check: own_district }
proven contains "own_district" if input.resource.properties.district == subject.district

proven contains "own_district" if {
	input.resource.type == "collection"
	data.swarm.collections[input.resource.id].district == null
}

# METADATA
# title: Only the tool server orders the city works.
# custom: { check: orders_works }
proven contains "orders_works" if {
	subject.kind == "service"
	subject.name == "mcp"
}

# METADATA
# title: The supervisor and the services read the ledger; an agent, what it says of the agent's own records.
# custom: { check: reads_ledger }
proven contains "reads_ledger" if {
	subject.kind == "platform"
	subject.name == "supervisor"
}

proven contains "reads_ledger" if subject.kind == "service"

proven contains "reads_ledger" if {
	subject.kind == "agent"
	input.resource.properties.record_by == input.subject.id
}

within(bound, value) if value in bound.enum

within(bound, value) if {
	is_number(value)
	value >= bound.min
	value <= bound.max
}
