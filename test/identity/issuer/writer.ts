import { openStore } from '#identity/issuer/store.ts';

/** Issues as fast as it can, and says each number once the store has returned. */
const store = openStore(process.argv[2] ?? '');
if (!store.ok) throw new Error(store.detail);
for (let n = 1; ; n += 1) {
  store.value.recordIssuances([
    {
      spiffe_id: `spiffe://city.example/agent/a/${n}`,
      serial: n.toString(16),
      thumbprint: 't',
      selectors: [],
      entry_id: 'e',
      authority_id: 'a',
      issued_at: n,
      not_before: n,
      not_after: n,
    },
  ]);
  process.stdout.write(`${n}\n`);
  await new Promise((resolve) => setImmediate(resolve));
}
