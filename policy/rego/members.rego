package swarmproof.members

# Who is asking, once for local and foreign agents alike. Everything is derived from the SPIFFE ID
# of a verified SVID or record; what the caller says of itself is never read.

# A name becomes one segment of a NATS subject. `.`, `*`, `>` or a space in it would let its owner
# write a wildcard into its own permissions.
token_pattern := `^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$`

member(id) := found if {
	found := data.swarm.members[id]
	startswith(id, concat("", ["spiffe://", data.swarm.trust_domain, "/"]))
	regex.match(token_pattern, found.token)
	regex.match(token_pattern, found.name)
}

grants(id) := data.swarm.grants[id] if member(id)
