package swarmproof.authz_test

import data.swarmproof.authz

city := {
	"trust_domain": "city.example",
	"members": {
		"spiffe://city.example/agent/analyzer/north/a1": {
			"token": "analyzer-a1", "kind": "agent", "role": "analyzer",
			"district": "north", "name": "a1",
		},
		"spiffe://city.example/pipeline/training/job-123": {
			"token": "training-job-123", "kind": "agent", "role": "training",
			"district": "north", "name": "job-123",
		},
		"spiffe://city.example/service/mcp": {
			"token": "service-mcp", "kind": "service", "role": "mcp", "name": "mcp",
		},
		"spiffe://city.example/platform/supervisor": {
			"token": "platform-supervisor", "kind": "platform",
			"role": "supervisor", "name": "supervisor",
		},
	},
	"grants": {
		"spiffe://city.example/agent/analyzer/north/a1": {
			"services": ["llm", "vector", "mcp"],
			"models": ["city-small"],
			"train": [],
			"collections": {"runbooks": ["read"], "south-log": ["read"], "both": ["read", "write"]},
			"tools": ["signal.set_plan", "valve.set"],
			"budget": {"calls_per_minute": 10, "tokens_per_hour": 1000},
		},
		"spiffe://city.example/pipeline/training/job-123": {
			"services": ["llm", "vector"],
			"models": [],
			"train": ["city-small"],
			"collections": {"runbooks": ["write"]},
			"tools": [],
			"budget": {},
		},
		"spiffe://city.example/service/mcp": {
			"services": ["city-works"], "models": [], "train": [],
			"collections": {}, "tools": [], "budget": {},
		},
		"spiffe://city.example/platform/supervisor": {"services": []},
	},
	"tools": {
		"signal.set_plan": {"arguments": {"plan": {"enum": ["A", "B"]}}},
		"valve.set": {"high_risk": true, "arguments": {"delta_pct": {"min": -10, "max": 10}}},
	},
	"collections": {
		"runbooks": {"district": null},
		"south-log": {"district": "south"},
		"both": {"district": null},
	},
}

analyzer := subject("spiffe://city.example/agent/analyzer/north/a1")

pipeline := subject("spiffe://city.example/pipeline/training/job-123")

subject(id) := {"type": "agent", "id": id, "properties": {"trust_domain": "city.example"}}

decide(request) := decision if {
	decision := authz.decision with input as request with data.swarm as city
}

chat(model, calls, tokens) := {
	"subject": analyzer,
	"action": {"name": "chat", "properties": {}},
	"resource": {"type": "model", "id": model, "properties": {"service": "llm"}},
	"context": {"usage": {"calls_minute": calls, "tokens_hour": tokens}},
}

fine_tune(who) := {
	"subject": who,
	"action": {"name": "fine_tune", "properties": {}},
	"resource": {"type": "model", "id": "city-small", "properties": {"service": "llm"}},
	"context": {},
}

vector(who, verb, collection) := {
	"subject": who,
	"action": {"name": verb, "properties": {}},
	"resource": {
		"type": "collection", "id": collection,
		"properties": {"service": "vector", "district": city.collections[collection].district},
	},
	"context": {},
}

tool(name, arguments, district) := {
	"subject": analyzer,
	"action": {"name": "tools/call", "properties": {"arguments": arguments}},
	"resource": {
		"type": "tool", "id": name,
		"properties": {"service": "mcp", "district": district},
	},
	"context": {},
}

test_granted_model if decide(chat("city-small", 0, 0)).allow

test_other_model if decide(chat("city-large", 0, 0)).reasons == ["model_granted"]

test_calls_spent if decide(chat("city-small", 10, 0)).reasons == ["budget_left"]

test_tokens_spent if decide(chat("city-small", 0, 1000)).reasons == ["budget_left"]

test_pipeline_trains if decide(fine_tune(pipeline)).allow

test_query_agent_does_not_train if decide(fine_tune(analyzer)).reasons == ["training_granted"]

test_trainer_that_may_query_does_not_train if {
	patch := {"path": "", "grant": ["city-small"]}
	both := object.union(city, {"grants": {pipeline.id: {"models": patch.grant}}})
	decision := authz.decision with input as fine_tune(pipeline) with data.swarm as both
	decision.reasons == ["training_granted"]
}

test_query_reads if decide(vector(analyzer, "query", "runbooks")).allow

test_query_does_not_write if {
	decide(vector(analyzer, "upsert", "runbooks")).reasons == ["collection_writable"]
}

test_reader_never_writes_even_if_granted_both if {
	decide(vector(analyzer, "upsert", "both")).reasons == ["collection_writable"]
}

test_pipeline_writes if decide(vector(pipeline, "upsert", "runbooks")).allow

test_pipeline_does_not_query if {
	decide(vector(pipeline, "query", "runbooks")).reasons == ["collection_readable"]
}

test_other_district if decide(vector(analyzer, "query", "south-log")).reasons == ["own_district"]

test_tool_within_bounds if decide(tool("valve.set", {"delta_pct": -10}, "north")).allow

test_tool_beyond_bounds if {
	every delta in [11, -11, "5", null, true] {
		decide(tool("valve.set", {"delta_pct": delta}, "north")).reasons == ["arguments_within_bounds"]
	}
}

test_tool_strange_argument if {
	not decide(tool("valve.set", {"delta_pct": 1, "force": true}, "north")).allow
	not decide(tool("valve.set", {}, "north")).allow
	not decide(tool("signal.set_plan", {"plan": "Z"}, "north")).allow
}

test_tool_not_granted if {
	decide(tool("valve.open", {}, "north")).reasons[0] == "tool_granted"
}

test_tool_other_district if {
	decide(tool("valve.set", {"delta_pct": 1}, "south")).reasons == ["own_district"]
}

test_only_the_tool_server_orders if {
	order := {
		"action": {"name": "works/order", "properties": {}},
		"resource": {"type": "works", "id": "signal", "properties": {"service": "city-works"}},
		"context": {},
	}
	mcp := subject("spiffe://city.example/service/mcp")
	decide(object.union(order, {"subject": mcp})).allow
	not decide(object.union(order, {"subject": analyzer})).allow
}

test_ledger_readers if {
	query := {
		"action": {"name": "ledger/query", "properties": {}},
		"resource": {"type": "service", "id": "ledger", "properties": {"service": "ledger"}},
		"context": {},
	}
	decide(object.union(query, {"subject": subject("spiffe://city.example/platform/supervisor")})).allow
	decide(object.union(query, {"subject": subject("spiffe://city.example/service/mcp")})).allow
	decide(object.union(query, {"subject": analyzer})).reasons == ["reads_ledger"]
}

about_a_record_of(id) := {
	"subject": analyzer,
	"action": {"name": "ledger/query", "properties": {}},
	"resource": {
		"type": "service", "id": "ledger",
		"properties": {"service": "ledger", "record_by": id},
	},
	"context": {},
}

test_an_agent_asks_about_its_own_records if {
	decide(about_a_record_of(analyzer.id)).allow
	decide(about_a_record_of("spiffe://city.example/service/mcp")).reasons == ["reads_ledger"]
	decide(about_a_record_of(null)).reasons == ["reads_ledger"]
}

test_stranger if {
	stranger := subject("spiffe://city.example/agent/analyzer/north/other")
	decide(object.union(chat("city-small", 0, 0), {"subject": stranger})).reasons[0] == "subject_known"
}

test_foreign_domain_with_a_member_entry if {
	id := "spiffe://evil.example/agent/analyzer/north/a1"
	planted := object.union(city, {"members": {id: city.members[analyzer.id]}})
	request := object.union(chat("city-small", 0, 0), {"subject": subject(id)})
	decision := authz.decision with input as request with data.swarm as planted
	decision.reasons[0] == "subject_known"
}

test_unknown_operation if {
	decide(object.union(chat("city-small", 0, 0), {"action": {"name": "drop"}})).reasons == ["default_deny"]
}

test_empty_input if decide({}).reasons == ["default_deny"]
