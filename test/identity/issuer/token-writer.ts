import { openStore } from '#identity/issuer/store.ts';

/** Makes and uses tokens as fast as it can; says each number once the store has returned. */
const store = openStore(process.argv[2] ?? '');
if (!store.ok) throw new Error(store.detail);
const start = store.value.head().seq;
for (let n = start + 1; ; n += 1) {
  const digest = `digest-${n}`;
  const agentId = `spiffe://city.example/spire/agent/join_token/${n}`;
  // The one before may have been killed between the two.
  if (store.value.token(digest) === undefined) {
    store.value.addToken({ digest, agentId, createdAt: 0, expiresAt: 1000 });
  }
  const issuance = {
    kind: 'x509' as const,
    spiffe_id: agentId,
    serial: n.toString(16),
    thumbprint: 't',
    selectors: [],
    entry_id: 'join_token',
    authority_id: 'a',
    issued_at: n,
    not_before: n,
    not_after: n,
  };
  const node = { agentId, serial: `${n}`, nextSerial: '', expiresAt: 1000, joinedAt: 1 };
  store.value.recordWith([issuance], () => {
    if (!store.value.useToken(digest, 1)) return false;
    store.value.writeNode(node);
    return true;
  });
  process.stdout.write(`${n}\n`);
  await new Promise((resolve) => setImmediate(resolve));
}
