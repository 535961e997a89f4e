import { BangerCommand } from '../lib/command.ts';
import { type Finding, findingsReport } from '../lib/finding.ts';
import { print } from '../lib/output.ts';

export default class Doctor extends BangerCommand {
  static override summary = 'examine this machine';
  static override description =
    'Tools and versions, user namespaces, FUSE, reflink, space, the state directory and the registry: a line each, with the command that mends it. Exits with 6 when something required is missing.';
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --json',
  ];

  async run(): Promise<Finding[]> {
    const { flags } = await this.parse(Doctor);
    const { assertHealthy, examine } = await import('../lib/doctor/doctor.ts');
    const findings = await examine({ stateDir: flags['state-dir'] });
    if (!this.jsonEnabled()) print(findingsReport(findings));
    assertHealthy(findings);
    return findings;
  }
}
