/** A control that the wiring can leave out. The letters are those of the scenarios' tables. */
export type Control = 'P' | 'B' | 'S';

export interface ControlOff {
  readonly title: string;
  /** What of the swarm is left when it is off, so that nobody takes it for more or less. */
  readonly off: string;
  /** The module of `cli/wiring/` that is exchanged, and the one in its place; from the checkout. */
  readonly module: string;
  readonly by: string;
}

/**
 * No branch of the product turns a control off: the images of such a swarm are bundled with one
 * module of `cli/wiring/` exchanged for the one of the same name in `cli/wiring/off/`. The supervisor
 * is no image: what it receives itself goes through the real door in every wiring.
 */
export const CONTROLS: Readonly<Record<Control, ControlOff>> = {
  P: {
    title: 'policy',
    off: 'services allow whatever any member asks of them; permissions at the broker stay',
    module: 'cli/wiring/service-policy.ts',
    by: 'cli/wiring/off/service-policy.ts',
  },
  B: {
    title: 'broker permissions',
    off: 'the gates let each member publish and subscribe ">"; who is no member stays out',
    module: 'cli/wiring/grants.ts',
    by: 'cli/wiring/off/grants.ts',
  },
  S: {
    title: 'message signature',
    off: 'the sender is whoever the subject names: of a record no more than its form is checked; the ledger still verifies who signed, and takes it whomever the signed subject names',
    module: 'cli/wiring/door.ts',
    by: 'cli/wiring/off/door.ts',
  },
};

export function isControl(text: string): text is Control {
  return Object.hasOwn(CONTROLS, text);
}
