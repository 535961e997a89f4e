import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ProcessResult, start } from './process.ts';

export interface SshTarget {
  /** On the loopback address. */
  port: number;
  privateKey: string;
  /** Where the guest's key is remembered from the first time on. */
  knownHosts: string;
}

const HOST = '127.0.0.1';
const LOOK_AGAIN_MS = 200;
/** What each SSH server says first (RFC 4253, section 4.2). */
const GREETING = 'SSH-';
/** A port that is forwarded may be open long before somebody listens behind it. */
const GREETING_MS = 5000;

/** Waits until somebody who speaks SSH answers on a port; false where the signal came first. */
export async function waitForSsh(port: number, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if (await greets(port, signal)) return true;
    await sleep(LOOK_AGAIN_MS, undefined, { signal }).catch(() => {});
  }
  return false;
}

function greets(port: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port, signal });
    let said = '';
    const end = (): void => {
      socket.destroy();
      resolve(said.startsWith(GREETING));
    };
    socket.setTimeout(GREETING_MS, end);
    socket.on('error', end).on('close', end);
    socket.on('data', (bytes) => {
      said += bytes.toString('latin1');
      if (said.length >= GREETING.length) end();
    });
  });
}

/**
 * Runs a command, or a shell, as root of a guest, with our own standard streams. Its status is the command's, or 255 where
 * ssh itself failed (ssh(1)).
 */
export async function sshTo(
  { port, privateKey, knownHosts }: SshTarget,
  command: readonly string[],
  { isTerminal, signal }: { isTerminal: boolean; signal?: AbortSignal },
): Promise<ProcessResult> {
  const options = [
    // Nobody's configuration leads elsewhere.
    ...['-F', 'none'],
    ...['-i', privateKey],
    ...['-o', 'IdentitiesOnly=yes'],
    ...['-o', 'BatchMode=yes'],
    ...['-o', `UserKnownHostsFile=${quote(knownHosts)}`],
    ...['-o', 'StrictHostKeyChecking=accept-new'],
    ...['-o', 'LogLevel=ERROR'],
    ...['-p', String(port)],
    ...(isTerminal ? ['-t'] : ['-T']),
  ];
  const ssh = await start(
    'ssh',
    [...options, `root@${HOST}`, ...(command.length > 0 ? ['--', ...command] : [])],
    {
      stdin: 'terminal',
      env: { TERM: process.env.TERM ?? 'dumb' },
      ...(signal ? { signal } : {}),
    },
  );
  return ssh.exited;
}

/** As ssh_config(5) takes a path with blanks. */
function quote(path: string): string {
  return `"${path.replaceAll('%', '%%').replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
