import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import {
  artifactFlags,
  builderFlags,
  cacheFlags,
  gateFlags,
  progressFlag,
  recipeFlags,
  replaceFlags,
  spellOutVerify,
  stepFlags,
} from '../../lib/build-flags.ts';
import { ChangingCommand } from '../../lib/command.ts';
import type { Forecast } from '../../lib/image/build-forecast.ts';
import type { BuiltJson } from '../../lib/image/build-report.ts';
import { print } from '../../lib/output.ts';
import type { ProgressMode } from '../../lib/progress.ts';

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
    ...builderFlags,
    'dry-run': Flags.boolean({ description: 'say what would be done, and do nothing' }),
    'log-file': Flags.string({ description: 'write the log here, too', helpValue: 'FILE' }),
    ...cacheFlags,
    ...replaceFlags,
    ...gateFlags,
    ...progressFlag,
  };

  protected override readonly whenFailed = { outcome: 'failed' };

  async run(): Promise<BuiltJson | Forecast> {
    this.argv = spellOutVerify(this.argv);
    const { args, flags, raw } = await this.parse(ImageBuild);
    const { buildOptions } = await import('../../lib/image/build-options.ts');
    const report = await import('../../lib/image/build-report.ts');
    const order = raw.flatMap((token) => (token.type === 'flag' ? [[token.flag, token.input]] : []));
    const options = (progress: ProgressMode) =>
      buildOptions(flags, { name: args.name, context: args.context }, order, progress);
    if (flags['dry-run']) {
      const { forecastBuild } = await import('../../lib/image/build-forecast.ts');
      const forecast = await this.look(flags, (readings) => forecastBuild(readings, options('none')));
      if (!flags.quiet && !this.jsonEnabled()) print(report.forecastReport(forecast));
      return forecast;
    }
    const { buildImage } = await import('../../lib/image/build.ts');
    const built = await this.change(flags, ({ workspace, progress }) =>
      buildImage(workspace, options(progress)),
    );
    if (flags.explain && !this.jsonEnabled()) print(report.explainSteps(built));
    if (!flags.quiet) this.log(report.describeBuilt(built));
    return report.builtJson(built);
  }
}
