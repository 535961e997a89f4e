import { type ProcessResult, run } from './process.ts';

export interface SshKeygenOptions {
  signal?: AbortSignal;
}

/** Makes an ed25519 key pair without a passphrase: `file` (mode 0600) and `file`.pub, neither of which may exist. */
export async function generateKeyPair(
  file: string,
  comment: string,
  options: SshKeygenOptions = {},
): Promise<void> {
  await run('ssh-keygen', ['-q', ...['-t', 'ed25519'], ...['-N', ''], ...['-C', comment], ...['-f', file]], {
    ...options,
  });
}

/**
 * The public key of a private one, on stdout. Fails (for the caller to judge: any status) where the private key needs a
 * passphrase: the empty one is given, since ssh-keygen would ask for it.
 */
export async function derivePublicKey(file: string, options: SshKeygenOptions = {}): Promise<ProcessResult> {
  return run('ssh-keygen', ['-y', ...['-P', ''], ...['-f', file]], { ...options, okExit: 'any' });
}
