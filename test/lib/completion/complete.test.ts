import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { complete, type KnownCommand } from '../../../src/lib/completion/complete.ts';
import { REPOSITORY } from '../../support/program.ts';

const { commands } = JSON.parse(readFileSync(`${REPOSITORY}/oclif.manifest.json`, 'utf8')) as {
  commands: Record<string, KnownCommand>;
};
const REGISTERED = { images: ['base', 'demo', 'debian'], vms: ['web'], operations: ['0123456789ab'] };

function words(line: string): string[] {
  return complete(line.split(' '), commands, (named) => REGISTERED[named]).words;
}

test.each([
  ['', ['cache', 'check', 'completion', 'doctor', 'image', 'operation', 'trash', 'version', 'vm']],
  ['im', ['image']],
  [
    'image ',
    [
      ...[
        'bisect',
        'bootstrap',
        'build',
        'delete',
        'diff',
        'history',
        'list',
        'promote',
        'protect',
        'prune',
        'register',
        'rename',
      ],
      ...['rollback', 'sbom', 'show', 'unprotect', 'verify'],
    ],
  ],
  ['vm ', ['create', 'delete', 'list', 'run', 'show', 'ssh']],
  ['vm show ', REGISTERED.vms],
  ['vm ssh w', REGISTERED.vms],
  ['image re', ['register', 'rename']],
  ['nonsense ', []],
  ['image show ', REGISTERED.images],
  ['image show de', ['demo', 'debian']],
  ['image show demo ', []],
  ['image rename demo ', []],
  ['image diff demo ', REGISTERED.images],
  ['image delete demo ', REGISTERED.images],
  ['image delete --yes demo b', ['base']],
  ['image delete --lock-timeout 5 ', REGISTERED.images],
  ['image build new --from-image ', REGISTERED.images],
  ['image build new --from-image=d', ['--from-image=demo', '--from-image=debian']],
  ['image build new --pre', ['--preset']],
  ['image build new --preset ', ['debian', 'none']],
  ['image build new --preset=n', ['--preset=none']],
  ['image build new --preset none --pre', []],
  ['image build new --package a --pack', ['--package']],
  ['image bootstrap x --flavor b', ['busybox']],
  ['image list --sort -', ['-name', '-created', '-size', '-virtual', '-kernel']],
  ['operation cancel ', REGISTERED.operations],
  ['completion ', ['bash', 'zsh', 'fish']],
  ['image show -- d', ['demo', 'debian']],
])('%o is completed by %j', (line, expected) => {
  expect(words(line)).toEqual(expected);
});

test('files are left to the shell', () => {
  const files = (line: string): string => complete(line.split(' '), commands, () => []).files;
  expect(files('image register x --rootfs ')).toBe('all');
  expect(files('image build x --copy ')).toBe('all');
  expect(files('image register x --modules ')).toBe('directories');
  expect(files('image list --state-dir ')).toBe('directories');
  expect(files('image build x --run ')).toBe('none');
});

test('every sort key is offered, and every offer taken', async () => {
  const { listOf } = await import('../../../src/lib/image/list.ts');
  const layout = { store: null, layout: {} as never };
  for (const sort of words('image list --sort ')) {
    expect(() => listOf(layout, { filters: [], sort })).not.toThrow();
  }
  const { flags } = commands['image:list'] as unknown as { flags: { sort: { description: string } } };
  for (const key of flags.sort.description.split(';')[0]?.split(/, | or /u) ?? []) {
    expect(words('image list --sort ')).toContain(key);
  }
});
