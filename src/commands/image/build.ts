import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import {
  artifactFlags,
  cacheFlags,
  progressFlag,
  recipeFlags,
  replaceFlags,
  stepFlags,
} from '../../lib/build-flags.ts';
import { ChangingCommand } from '../../lib/command.ts';
import type { BuiltJson } from '../../lib/image/build-report.ts';

export default class ImageBuild extends ChangingCommand {
  static override summary = 'build an image from another';
  static override description =
    'Clones the base, grows it, carries out the recipe and then the steps of the command line in a sandbox, seeds SSH access, and publishes the result under its name. The base is not changed. When a step fails, nothing but the log is left, and the next build takes up there.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> demo --from-image debian-base --package htop',
    "<%= config.bin %> <%= command.id %> web --from-image debian-base --size 8G --package nginx --copy ./site:/var/www/html --run 'systemctl enable nginx'",
    '<%= config.bin %> <%= command.id %> api --file Containerfile .',
    '<%= config.bin %> <%= command.id %> ci --from-image debian-base --docker --env LANG=C.UTF-8 --script ./setup.sh',
  ];
  static override args = {
    name: Args.string({ description: 'name of the new image [default: image-<unix seconds>]' }),
    context: Args.string({ description: 'directory that the recipe copies from [default: this one]' }),
  };
  static override flags = {
    ...recipeFlags,
    ...stepFlags,
    ...artifactFlags,
    docker: Flags.boolean({ description: "install and enable Docker from the image's own repositories" }),
    preset: Flags.option({
      description: 'packages that a development VM needs [default: debian where there is apt]',
      options: ['debian', 'none'] as const,
    })(),
    network: Flags.option({
      description: 'network that the steps see',
      options: ['host', 'none'] as const,
      default: 'host',
    })(),
    'log-file': Flags.string({ description: 'write the log here, too', helpValue: 'FILE' }),
    ...cacheFlags,
    ...replaceFlags,
    ...progressFlag,
  };

  protected override readonly whenFailed = { outcome: 'failed' };

  async run(): Promise<BuiltJson> {
    const { args, flags, raw } = await this.parse(ImageBuild);
    const { buildImage } = await import('../../lib/image/build.ts');
    const { builtJson, describeBuilt, explainSteps } = await import('../../lib/image/build-report.ts');
    const { buildSource } = await import('../../lib/image/build-source.ts');
    const { stepsFrom } = await import('../../lib/image/build-step.ts');
    const { replaceFrom } = await import('../../lib/image/replace.ts');
    const { parseSize } = await import('../../lib/size.ts');
    // The parser sorts values by flag; only the raw tokens know the order across flags.
    const given = raw.flatMap((token) => (token.type === 'flag' ? [[token.flag, token.input]] : []));
    const built = await this.change(flags, ({ workspace, progress }) =>
      buildImage(workspace, {
        ...flags,
        name: args.name,
        source: buildSource(args.context, flags),
        steps: stepsFrom(given),
        size: flags.size === undefined ? undefined : parseSize(flags.size),
        ssh: !flags['no-ssh'],
        anewStages: flags['no-cache-filter'] ?? [],
        anew: flags['no-cache'] ? 'everything' : flags.refresh ? 'packages' : 'nothing',
        replace: flags.replace ? replaceFrom(flags) : undefined,
        logFile: flags['log-file'],
        progress,
        mendOf: (artifact) => `mend the base, or give another: --${artifact}`,
      }),
    );
    if (flags.explain) this.log(explainSteps(built));
    if (!flags.quiet) this.log(describeBuilt(built));
    return builtJson(built);
  }
}
