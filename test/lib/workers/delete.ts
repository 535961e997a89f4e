import { deleteImages } from '../../../src/lib/image/delete.ts';
import { open, say, until, work } from './protocol.ts';

const [, , stateDir = '', name = '', how = ''] = process.argv;

await work(async () => {
  const workspace = await open(stateDir, { command: `banger image delete ${name}` });
  try {
    say('ready');
    await until('go');
    await deleteImages(workspace, [name], { purge: how === 'purge' });
    say('deleted');
  } finally {
    workspace.close();
  }
});
