/** Runs a work, and once more when it was asked for meanwhile; never twice at a time. */
export function oneAtATime(work: () => Promise<void>): { run(): void } {
  let running = false;
  let again = false;
  const run = async (): Promise<void> => {
    running = true;
    do {
      again = false;
      await work();
    } while (again);
    running = false;
  };
  return {
    run: () => {
      again = true;
      if (!running) void run();
    },
  };
}
