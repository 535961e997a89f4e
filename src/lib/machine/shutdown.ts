import type { RunningMachine } from './qemu.ts';

/** How long a guest may take to end by itself, in milliseconds. */
const PATIENCE_MS = 20_000;

/**
 * Presses the power button (QEMU, docs/interop/qmp-intro.rst and system_powerdown in the QMP reference); a guest that does
 * not heed it loses its power after a while. Wants a machine with a monitor.
 * @returns whether it ended by itself
 */
export async function shutDown(machine: RunningMachine): Promise<boolean> {
  for (const execute of ['qmp_capabilities', 'system_powerdown']) {
    machine.channels[0]?.write(`${JSON.stringify({ execute })}\n`);
  }
  let endedItself = true;
  const impatient = setTimeout(() => {
    endedItself = false;
    machine.cutPower();
  }, PATIENCE_MS);
  await machine.exited;
  clearTimeout(impatient);
  return endedItself;
}
