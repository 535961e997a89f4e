import * as Args from '@oclif/core/args';
import { BangerCommand } from '../lib/command.ts';
import { completionScript, SHELLS, type Shell } from '../lib/completion/scripts.ts';
import { print } from '../lib/output.ts';

export default class Completion extends BangerCommand {
  static override summary = "print what completes this program's words in a shell";
  static override description =
    'Completes commands, flags, their values, and the names of images and operations. Put it where the shell looks: for bash into ~/.local/share/bash-completion/completions/banger, for fish into ~/.config/fish/completions/banger.fish, for zsh into a file _banger in a directory of $fpath. The Debian package has done so.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> bash',
    '<%= config.bin %> <%= command.id %> zsh',
    '<%= config.bin %> <%= command.id %> fish',
  ];
  static override args = {
    shell: Args.string({ description: SHELLS.join(', '), options: [...SHELLS], required: true }),
  };

  async run(): Promise<{ shell: string; script: string }> {
    const { args } = await this.parse(Completion);
    const script = completionScript(args.shell as Shell);
    if (!this.jsonEnabled()) print(script);
    return { shell: args.shell, script };
  }
}
