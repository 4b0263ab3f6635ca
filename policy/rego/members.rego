package swarmproof.members

# Who is asking, once for local and foreign agents alike. Everything is derived from the SPIFFE ID
# of a verified SVID or record; what the caller says of itself is never read.

# A name becomes one segment of a NATS subject. `.`, `*`, `>` or a space in it would let its owner
# write a wildcard into its own permissions.
#
# Without regular expressions: the embedded engine compiles one anew at each decision.
is_token(text) if {
	text != ""
	count(text) <= 64
	trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

member(id) := found if {
	found := data.swarm.members[id]
	startswith(id, concat("", ["spiffe://", data.swarm.trust_domain, "/"]))
	is_token(found.token)
	is_token(found.name)
}

grants(id) := data.swarm.grants[id] if member(id)
