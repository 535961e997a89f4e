import { expect, test } from 'vitest';
import { LimitNotes, limitsFor } from '../../../src/lib/system/sandbox-limits.ts';

function notesOf(kind: 'loop' | 'fuse', lines: readonly string[]): string[] {
  const notes: string[] = [];
  const watch = new LimitNotes(kind, (note) => notes.push(note));
  for (const line of lines) watch.watch(line);
  return notes;
}

/** What the programs say, word for word. */
const SAID = [
  ['setfacl: /srv/x: Operation not supported', /ACLs/u],
  [
    '/usr/lib/tmpfiles.d/x.conf:1: Setting access ACL "u::rwx" on /x failed: Operation not supported',
    /ACLs/u,
  ],
  ['chattr: Inappropriate ioctl for device while reading flags on x', /chattr/u],
  ['lsattr: Inappropriate ioctl for device While reading flags on x', /chattr/u],
  ["chown: changing ownership of 'x': Invalid argument", /65535/u],
  ['tar: x: Cannot change ownership to uid 70000, gid 70000: Invalid argument', /65535/u],
  ["rm: cannot remove 'd/.fuse_hidden0000000d00000001': Device or resource busy", /fuse_hidden/u],
] as const;
const SAID_TO_ALL = [
  ['mknod: /dev/x: Operation not permitted', /devices/u],
  ['tar: dev/null: Cannot mknod: Operation not permitted', /devices/u],
  ['setfattr: x: trusted.y: Operation not permitted', /trusted/u],
  ['chattr: Operation not permitted while setting flags on x', /immutable/u],
  ['mount: /mnt: permission denied.', /mounted/u],
  ['unshare: unshare failed: Operation not permitted', /namespaces/u],
  ['bwrap: Creating new namespace failed: Operation not permitted', /namespaces/u],
  ['sudo: The "no new privileges" flag is set, which prevents sudo from running as root.', /setuid/u],
  ['ping: socket: Operation not permitted', /raw sockets/u],
] as const;

test.for([...SAID, ...SAID_TO_ALL])('%s', ([line, what]) => {
  expect(notesOf('fuse', [line])).toEqual([expect.stringMatching(what)]);
});

test('each is told once, and to root only what holds for root', () => {
  const lines = [...SAID, ...SAID_TO_ALL].map(([line]) => line);
  expect(notesOf('fuse', [...lines, ...lines])).toHaveLength(11);
  expect(notesOf('loop', lines)).toHaveLength(7);
  expect(limitsFor('loop').length).toBeLessThan(limitsFor('fuse').length);
});

test('what anybody may say is no sign of anything', () => {
  const lines = [
    'E: Unable to locate package mount',
    'Setting up mount (2.38.1-5+deb12u3) ...',
    'chmod: changing permissions of x: Operation not permitted',
    'cat: x: Permission denied',
    'invalid argument to --flags',
  ];
  expect(notesOf('fuse', lines)).toEqual([]);
});

test.for([
  ['umask 002; mkdir x', 1],
  ['set -e\numask 0\nmkdir x', 1],
  ['umask 0007', 1],
  ['umask 022; umask 077; umask 0027', 0],
  ['umask', 0],
] as const)('%s', ([command, count]) => {
  const notes: string[] = [];
  new LimitNotes('fuse', (note) => notes.push(note)).foresee(command);
  expect(notes).toHaveLength(count);
});
