import { statSync } from 'node:fs';
import { describe, expect, inject } from 'vitest';
import { build, makeBase } from '../support/builds.ts';
import { testAccounts } from '../support/cli.ts';
import { readExt4Tree } from '../support/ext4-tree.ts';
import { test } from '../support/fixtures.ts';
import { changeGuest } from '../support/guest-files.ts';
import { count, WHOLE } from './tally.ts';

const { root, user } = inject('testRun');
const MIB = 2 ** 20;

/** Names that a tool or a shell on the way might read as something else, as printf of a shell takes them. */
const NAMES = [
  '"quoted"',
  '""',
  "it's",
  '<2>',
  '<12>',
  '-R',
  '-f file',
  '--',
  ' leading',
  'trailing ',
  'two  blanks',
  'tab\\there',
  'new\\nline',
  '\\nfirst',
  'carriage\\rreturn',
  '$(id)',
  '`id`',
  ';quit',
  '*',
  'what?io=1',
  '#comment',
  '~root',
  'back\\\\slash',
  '%%s',
  '\\033[2J',
  '\\377\\376',
  '\\342\\200\\256reversed',
  '...',
  '.ssh ',
  'lost+found.',
  'n'.repeat(255),
];

/** Runs in the guest: every name as a file, a directory with a file in it, and a link; some of them linked again. */
const FILL = `set -eu
cd /root
n=0
while IFS= read -r pattern; do
  name=$(printf "$pattern."); name=\${name%.}
  n=$((n + 1))
  mkdir -p files dirs links hard
  echo "$n" >"files/$name"
  mkdir "dirs/$name"
  echo "$n" >"dirs/$name/$name"
  ln -s -- "../files/$name" "links/$name"
  ln -- "files/$name" "hard/$name"
  case $n in 1?) echo "$n" >"./$name" ;; esac
  chown "$n:$((n * 2))" "files/$name"
  chmod "$((n % 8))755" "dirs/$name"
done </names
busybox truncate -s 200M holes
echo middle | busybox dd of=holes bs=1M seek=150 conv=notrunc 2>/dev/null
deep=.; for level in 1 2 3 4 5 6 7 8 9; do deep=$deep/$level; done
mkdir -p "$deep"; echo deep >"$deep/file"
busybox mkfifo pipe
ln -s /etc/passwd out; ln -s nowhere gone; ln -s . self
ln /etc/hostname shared
`;

describe.runIf(root !== null).each(WHOLE ? testAccounts() : [user])(
  'a /root of everything, as $label',
  (account) => {
    test('is in the work seed as it is in the rootfs, through build, heir and promote', async ({
      makeHome,
    }) => {
      const home = await makeHome(account);
      const { rootfs } = await makeBase(home, { files: { names: `${NAMES.join('\n')}\n` } });
      await changeGuest(
        rootfs,
        'ea_set /root/.profile user.note remembered',
        `ea_set /root/.profile user.long ${'x'.repeat(900)}`,
        'ea_set /root user.of.the.directory kept',
      );
      const script = await home.write('fill', `#!/bin/sh\n${FILL}`, 0o755);
      const made = await build(home, 'made', ['--script', script]);
      const trees = async (image: { rootfs_path: string; work_seed_path: string }): Promise<string[]> => {
        const inside = await readExt4Tree(image.rootfs_path, { below: 'root', without: ['.ssh'] });
        const seed = await readExt4Tree(image.work_seed_path, { without: ['.ssh', 'lost+found'] });
        expect(seed.listing).toEqual(inside.listing);
        expect(seed.digest).toBe(inside.digest);
        return seed.listing;
      };
      const listing = await trees(made);
      expect(listing.length).toBeGreaterThan(5 * NAMES.length);
      expect(statSync(made.work_seed_path).blocks * 512).toBeLessThan(8 * MIB);
      await home.verify();

      const heirs = [
        'image',
        'build',
        'heir',
        ...['--from-image', 'made'],
        '--run',
        'echo more >>/root/.profile',
      ];
      const { document: heir } = await home.json<typeof made>(heirs);
      await trees(heir);
      const flags = [
        '--rootfs',
        made.rootfs_path,
        '--kernel',
        made.kernel_path,
        '--work-seed',
        made.work_seed_path,
      ];
      await home.ok(['image', 'register', 'again', ...flags]);
      await home.ok(['image', 'promote', 'again']);
      const { document: again } = await home.json<typeof made>(['image', 'show', 'again']);
      expect(await trees(again)).toEqual(listing);
      count({ command: 'image build', torment: 'hostile inputs', tried: 2, lost: 0 });
      count({ command: 'image promote', torment: 'hostile inputs', tried: 1, lost: 0 });
    });
  },
);
