import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { layoutOf } from '../../../src/lib/layout.ts';
import { assertNameFree, Operation, type OperationPlan } from '../../../src/lib/operation.ts';
import { insertImage, updateImage } from '../../../src/lib/store/images.ts';
import type { ImageRow } from '../../../src/lib/store/schema.ts';
import { crash, open, say, until, work } from './protocol.ts';

/**
 * Goes through an operation as a build or promote does: begun, staged, activated, persisted. At the point that it is
 * given it waits for `go`, or dies on `die`.
 */
const [, , stateDir = '', planned = '', stop = ''] = process.argv;
const { plan, image } = JSON.parse(planned) as { plan: OperationPlan; image: ImageRow };

async function reached(point: string): Promise<void> {
  say(point);
  if (point === stop) await Promise.race([until('go'), until('die').then(crash)]);
}

await work(async () => {
  const { layout } = { layout: layoutOf(stateDir) };
  const workspace = await open(stateDir, { command: `banger image ${plan.kind} ${plan.imageName}` });
  try {
    const { operation } = await Operation.begin(workspace, () => {
      if (plan.kind === 'build') assertNameFree(workspace.store, plan.imageName);
      return { plan };
    });
    try {
      await reached('begun');
      const stage = plan.stageDir ?? join(layout.imagesDir, 'nowhere');
      mkdirSync(join(stage, 'modules'), { recursive: true });
      for (const file of ['kernel', 'rootfs.ext4', 'modules/a', 'modules/b']) {
        writeFileSync(join(stage, file), plan.imageName);
      }
      await reached('staged');
      await operation.activate(image);
      await reached('activated');
      await operation.persist((store) => {
        if (plan.kind === 'build') insertImage(store, image);
        else updateImage(store, image);
      });
      await reached('persisted');
    } catch (error) {
      const left = await operation.fail(error);
      if (left !== undefined) say(`left ${String(left)}`);
      throw error;
    }
  } finally {
    workspace.close();
  }
});
