/** Who came in while another was inside, of lines `enter WHO EPOCH` and `leave WHO EPOCH` in their order. */
export function overlapsIn(log: string, killed: ReadonlySet<string> = new Set()): string[] {
  const inside = new Set<string>();
  const found: string[] = [];
  for (const line of log.trim().split('\n')) {
    const [event, who = ''] = line.split(' ');
    if (event === 'leave') inside.delete(who);
    else {
      for (const other of inside) {
        // One that was killed inside leaves no more; that it was dead is what its successor had to find out.
        if (killed.has(other)) inside.delete(other);
        else found.push(`${who} came in while ${other} was inside`);
      }
      inside.add(who);
    }
  }
  return found;
}
