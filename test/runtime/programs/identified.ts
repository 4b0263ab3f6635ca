import { openX509Source } from '#identity/workload-api/client.ts';

/** Asks the Workload API for its SVID and tells the launcher whether it got one. */
process.on('disconnect', () => process.exit(0));
process.on('message', (message: { type: string; workloadSocket: string; trustDomain: string }) => {
  if (message.type === 'stop') process.exit(0);
  if (message.type !== 'start') return;
  void openX509Source({
    socketPath: message.workloadSocket,
    trustDomain: message.trustDomain,
    onState: (state) => {
      if (state.kind === 'denied') process.send?.({ type: 'quarantined', detail: state.detail });
    },
  }).then((source) => {
    process.send?.({
      type: 'status',
      status: { id: source.svid().id, serial: source.svid().serial },
    });
    process.send?.({ type: 'ready' });
  });
});
