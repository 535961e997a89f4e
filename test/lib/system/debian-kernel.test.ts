import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { identifyKernel } from '../../../src/lib/system/kernel-image.ts';
import { debianKernel } from '../../support/kernel.ts';

test("Debian's own kernel is known by its format and version", { timeout: 300_000 }, async () => {
  const { kernel, modules, version } = await debianKernel();
  expect(await identifyKernel(kernel)).toMatchObject({
    format: expect.stringMatching(/^bzImage$|^arm64$/u),
    version,
  });
  expect(await readdir(modules)).toContain('kernel');
});
