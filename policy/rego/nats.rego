package swarmproof.nats

import data.swarmproof.members

# What an identity may publish and subscribe. An empty list means everything to the broker, so this
# is undefined, and the connection refused, unless both lists have an entry.

# METADATA
# entrypoint: true
permissions := {"publish": {"allow": sort(publish)}, "subscribe": {"allow": sort(subscribe)}} if {
	count(publish) > 0
	count(subscribe) > 0
}

member := members.member(input.id)

grants := members.grants(input.id)

token := member.token

district := member.district if members.is_token(member.district)

# Everybody: its own records and its own replies.

publish contains concat(".", ["custody.append", token]) if token

subscribe contains concat(".", ["_INBOX", token, ">"]) if token

publish contains concat(".", ["svc", service, token]) if {
	some service in grants.services
	members.is_token(service)
}

# Agents: their own district and name. Nothing of the server's own: who pulls from JetStream, or
# acknowledges to it, names the reply subject, and the server publishes there with its own rights.

publish contains concat(".", [district, kind, token]) if {
	some kind in agent_list("publish")
}

subscribe contains concat(".", [district, "ack", "*", token]) if count(agent_list("publish")) > 0

publish contains concat(".", [district, "ack", token, "*"]) if count(agent_list("consume")) > 0

agent_list(verb) := [kind |
	member.kind == "agent"
	some kind in grants[verb]
	members.is_token(kind)
]

# Who asks the ledger: the supervisor for its user, services for what a high-risk call rests on, and
# agents whether it holds what they said.

publish contains concat(".", ["svc.ledger", token]) if member.kind in {"agent", "service"}

publish contains concat(".", ["svc.ledger", token]) if {
	member.kind == "platform"
	member.name == "supervisor"
}

# Services answer only below the inbox that carries their name, and take requests only in their own
# queue group: with the subject alone, anyone could join the group and take a share.

publish contains concat(".", ["_INBOX.*", served, ">"]) if served

subscribe contains concat("", ["svc.", served, ".* svc-", served]) if served

served := member.name if member.kind == "service"

served := "ledger" if is_ledger

is_ledger if {
	member.kind == "platform"
	member.name == "ledger"
}

publish contains subject if {
	is_ledger
	some subject in {
		"$JS.API.CONSUMER.MSG.NEXT.APPEND.platform-ledger",
		"$JS.ACK.APPEND.platform-ledger.>",
		"ledger.entry",
		"ledger.checkpoint",
		"$JS.API.STREAM.INFO.LEDGER",
		"$JS.API.DIRECT.GET.LEDGER",
		"$JS.API.DIRECT.GET.CHECKPOINT",
		"$JS.API.STREAM.MSG.GET.LEDGER",
	}
}
