import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { run } from '../../../src/lib/system/process.ts';
import { type Box, test } from '../../support/box.ts';
import { readExt4Tree } from '../../support/ext4-tree.ts';
import { makeRootfs } from '../../support/images.ts';

const FILES = {
  'etc/passwd': [
    'root:x:0:0:root:/root:/bin/sh',
    'alice:x:1000:1000::/:/bin/sh',
    'man:x:6:12::/:/bin/sh',
    'bob:x:1001:100::/:/bin/sh',
    '',
  ].join('\n'),
  'etc/group': [
    'root:x:0:',
    'alice:x:1000:',
    'users:x:100:',
    'man:x:12:',
    'shared:x:2000:alice,bob',
    '',
  ].join('\n'),
  'etc/shadow': ['root:*:1::::::', 'alice:*:1::::::', 'bob:*:1::::::', 'man:*:1::::::', ''].join('\n'),
  'srv/old': 'made before',
};

/** perl is on every Debian, and what it links is bound with it: the guest has nothing to set an attribute with. */
async function perlBinds(): Promise<{ binds: { source: string; target: string }[]; perl: string[] }> {
  const { stdout } = await run('ldd', ['/usr/bin/perl']);
  const libraries = [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/gu)].map(([, path]) => path ?? '');
  const loader = libraries.find((path) => /\/ld-[^/]*$/u.test(path)) ?? '';
  const at = (path: string): string => `/run/perl/${path.split('/').pop()}`;
  return {
    binds: ['/usr/bin/perl', ...libraries].map((source) => ({ source, target: at(source) })),
    perl: [at(loader), '--library-path', '/run/perl', '/run/perl/perl'],
  };
}

/** setxattr(2): 188 on x86-64, 5 on arm64. */
const SETXATTR = process.arch === 'arm64' ? 5 : 188;
const SET_ATTRIBUTES = `
sub set { my ($file, $name, $value) = @_; syscall(${SETXATTR}, $file, $name, $value, length $value, 0) == 0 or die "$file $name: $!" }
set("/srv/x/capable", "security.capability", pack("V5", 0x02000001, 1 << 10, 0, 0, 0));
set("/srv/x/noted", "user.note", "a value");
set("/srv/x/noted", "user.long", "long " x 90);
set("/srv/x/noted", "user.empty", "");
set("/srv/x", "user.directory", "\\x00\\xff\\x01");
`;

// What steps do, one string each. Nothing depends on the time, on an inode's number or on who runs it.
const STEPS: readonly string[] = [
  // Owners and modes, and everything that a directory can hold.
  `set -e; mkdir /srv/m; cd /srv/m
   for mode in 0000 0600 0755 1777 2755 4755 6755 7777; do touch f$mode; chmod $mode f$mode; mkdir d$mode; chmod $mode d$mode; done
   for id in 0 1 65 999 1000 60000 65533 65534 65535; do echo $id >id$id; chown $id:$id id$id; done
   chown 1000:2000 f4755; chown 6:12 d2755; chmod u+s,g+s f0755; ln -s nowhere link; busybox mkfifo -m 640 fifo
   echo one >a; ln a b; ln b c; rm a; echo two >>c; busybox truncate -s 9M sparse; busybox fallocate -l 100000 full
   touch "$(printf 'new\\nline')" "$(printf 'latin\\351')" ' blanks ' '"'; mkdir -p deep/er/still; mv deep/er moved; ln -sfn moved link
   cp -a /bin /srv/m/copied; rm -r d0000; : >id65; chown -h 1000:1000 link`,
  // What others may do is the kernel's to say: supplementary groups too.
  `cd /srv; mkdir w; chown root:shared w; chmod 0770 w; echo secret >w/secret; chmod 0640 w/secret; chown root:shared w/secret
   busybox su alice -c 'cat /srv/w/secret >/srv/w/by-alice; mkdir /srv/w/of-alice; chgrp shared /srv/w/by-alice; chmod 2750 /srv/w/by-alice'
   busybox su man -c 'cat /srv/w/secret >/tmp/seen; touch /srv/w/by-man' 2>/dev/null
   busybox su alice -c 'chmod 2755 /srv/m/id0; chown man /srv/w/by-alice; rm /srv/old' 2>/dev/null; true`,
  // Groups that setgid directories hand down, to everybody and all the way.
  `set -e; mkdir /srv/g; cd /srv/g; chown root:shared .; chmod 2775 .
   touch plain; echo x >written; mkdir dir dir/sub; mkdir -m 0750 closed; echo y >dir/sub/file; ln -s x symlink; busybox mkfifo fifo
   cp /bin/busybox suid; chmod 4755 suid; ln written linked; busybox su alice -c 'mkdir /srv/g/of-alice; touch /srv/g/of-alice/file /srv/g/by-alice'
   busybox su bob -c 'mkdir -p /srv/g/of-bob/sub; touch /srv/g/of-bob/sub/file'
   mkdir other; chown root:man other; touch other/file; mkdir other/sub; mkdir -m 0755 installed; mv dir renamed; mkdir dir
   mkdir ungrouped; chmod g-s ungrouped; mkdir ungrouped/sub`,
  // In a later step what was handed down is there for others to use.
  `set -e; mkdir /srv/g/team; chmod g+w /srv/g/team; touch /srv/g/team/root; chmod g+w /srv/g/team/root`,
  `set -e; busybox su alice -c 'mkdir /srv/g/team/alice; chmod g+w /srv/g/team/alice; echo a >>/srv/g/team/root'`,
  `set -e; busybox su bob -c 'touch /srv/g/team/alice/bob; echo b >>/srv/g/team/root'; cd /srv/g; mv /srv/old moved-in; mv team/root ../moved-out`,
  // What brings owners of its own keeps them.
  `set -e; mkdir /srv/t; cd /srv/t; echo 1 >file; echo 2 >suid; mkdir dir; chown 5:6 suid; chmod 4711 suid; chmod 2755 dir
   touch -d '2001-02-03 04:05:06' file suid dir; tar cf /srv/t.tar .; mkdir into; chown root:shared into; chmod 2775 into
   tar xf /srv/t.tar -C into; mkdir copied; chown root:shared copied; chmod 2775 copied; cp -a file suid dir copied; rm /srv/t.tar`,
  `set -e; mkdir /srv/x; cd /srv/x; touch capable noted`,
];

async function work(box: Box): Promise<void> {
  for (const step of STEPS) await box.ok(step);
  const { binds, perl } = await perlBinds();
  const { exitCode, stderr } = await box.run([...perl, '-e', SET_ATTRIBUTES], { binds, env: { LANG: 'C' } });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  await box.ok('set -e; cp -a /srv/x/noted /srv/x/copied; echo more >>/srv/x/capable; mkdir /srv/x/last');
  await box.close();
}

describe("an ordinary user's image", () => {
  test("is equal to root's after the same steps", async ({ openBox, skip }) => {
    const { root, user, directory } = inject('testRun');
    if (root === null) return skip('wants root, to compare with');
    const image = await makeRootfs(join(directory, 'equality.ext4'), { files: FILES });
    const boxes = [await openBox(root, { image }), await openBox(user, { image })] as const;
    await Promise.all(boxes.map(work));
    for (const box of boxes) expect((await run('e2fsck', ['-fn', box.image])).exitCode).toBe(0);
    const [ofRoot, ofUser] = [await readExt4Tree(boxes[0].image), await readExt4Tree(boxes[1].image)];
    expect(ofUser.listing).toEqual(ofRoot.listing);
    expect(ofUser.digest).toBe(ofRoot.digest);
    expect(ofRoot.listing.length).toBeGreaterThan(120);
    expect(boxes[0].notes).toEqual([]);
    expect(boxes[1].notes.filter((note) => !note.includes('setgid'))).toEqual([]);

    // The comparison can fail: one bit, one attribute.
    for (const command of ['sif /srv/g/plain gid 0', 'ea_set /srv/x/noted user.note b\\ value']) {
      await run('debugfs', ['-w', '-R', command, boxes[1].image]);
      expect((await readExt4Tree(boxes[1].image)).digest).not.toBe(ofRoot.digest);
    }
  });
});
