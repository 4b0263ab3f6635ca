package swarmproof.nats_test

import data.swarmproof.nats

sensor := "spiffe://city.example/agent/sensor/north/cam-1"

analyzer := "spiffe://city.example/agent/analyzer/north/a1"

llm := "spiffe://city.example/service/llm"

ledger := "spiffe://city.example/platform/ledger"

supervisor := "spiffe://city.example/platform/supervisor"

agent(role, name) := {
	"token": concat("-", [role, name]), "kind": "agent",
	"role": role, "district": "north", "name": name,
}

city := {
	"trust_domain": "city.example",
	"members": {
		sensor: agent("sensor", "cam-1"),
		analyzer: agent("analyzer", "a1"),
		llm: {"token": "service-llm", "kind": "service", "role": "llm", "name": "llm"},
		supervisor: {
			"token": "platform-supervisor", "kind": "platform",
			"role": "supervisor", "name": "supervisor",
		},
		ledger: {"token": "platform-ledger", "kind": "platform", "role": "ledger", "name": "ledger"},
	},
	"grants": {
		sensor: {"publish": ["reading"], "consume": [], "services": []},
		analyzer: {"publish": ["finding"], "consume": ["reading"], "services": ["llm"]},
		llm: {"publish": [], "consume": [], "services": []},
		ledger: {"publish": [], "consume": [], "services": []},
	},
}

permissions(id) := granted if granted := nats.permissions with input as {"id": id} with data.swarm as city

test_sensor if {
	permissions(sensor) == {
		"publish": {"allow": [
			"custody.append.sensor-cam-1",
			"north.reading.sensor-cam-1",
			"svc.ledger.sensor-cam-1",
		]},
		"subscribe": {"allow": ["_INBOX.sensor-cam-1.>", "north.ack.*.sensor-cam-1"]},
	}
}

test_analyzer if {
	permissions(analyzer) == {
		"publish": {"allow": [
			"custody.append.analyzer-a1",
			"north.ack.analyzer-a1.*",
			"north.finding.analyzer-a1",
			"svc.ledger.analyzer-a1",
			"svc.llm.analyzer-a1",
		]},
		"subscribe": {"allow": ["_INBOX.analyzer-a1.>", "north.ack.*.analyzer-a1"]},
	}
}

test_service if {
	permissions(llm) == {
		"publish": {"allow": ["_INBOX.*.llm.>", "custody.append.service-llm", "svc.ledger.service-llm"]},
		"subscribe": {"allow": ["_INBOX.service-llm.>", "svc.llm.* svc-llm"]},
	}
}

test_only_the_ledger_writes_the_ledger if {
	every subject in ["ledger.entry", "ledger.checkpoint"] {
		subject in permissions(ledger).publish.allow
		every id in [sensor, analyzer, llm, supervisor] {
			not subject in permissions(id).publish.allow
		}
	}
}

test_everybody_but_the_ledger_asks_the_ledger_in_its_own_name if {
	every id in [sensor, analyzer, llm, supervisor] {
		asked := {subject | some subject in permissions(id).publish.allow; startswith(subject, "svc.ledger")}
		asked == {concat(".", ["svc.ledger", city.members[id].token])}
	}
	every subject in permissions(ledger).publish.allow {
		not startswith(subject, "svc.")
	}
}

test_no_agent_or_service_holds_a_subject_of_the_server if {
	every id in [sensor, analyzer, llm] {
		every subject in permissions(id).publish.allow {
			not startswith(subject, "$")
		}
	}
}

test_nobody_may_respond_freely if {
	every id in [sensor, analyzer, llm, ledger] {
		every subject in permissions(id).publish.allow {
			subject != ">"
			not startswith(subject, "*")
			not startswith(subject, "$JS.API.STREAM.DELETE")
		}
	}
}

test_stranger_gets_nothing if not permissions("spiffe://city.example/agent/sensor/north/cam-9")

test_member_without_id_gets_nothing if {
	not nats.permissions with input as {} with data.swarm as city
}

test_wildcard_in_a_name_gets_nothing if {
	every bad in ["*", ">", "a.b", "a b", "", "A", "å"] {
		tokens := object.union(city, {"members": {sensor: {"token": bad}}})
		not nats.permissions with input as {"id": sensor} with data.swarm as tokens
		names := object.union(city, {"members": {sensor: {"name": bad}}})
		not nats.permissions with input as {"id": sensor} with data.swarm as names
	}
}

test_wildcard_in_a_district_grants_no_subject if {
	every bad in ["*", ">", "a.b"] {
		wide := object.union(city, {"members": {sensor: {"district": bad}}})
		granted := nats.permissions with input as {"id": sensor} with data.swarm as wide
		granted.publish.allow == ["custody.append.sensor-cam-1", "svc.ledger.sensor-cam-1"]
	}
}
