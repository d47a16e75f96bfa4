import { readFile } from 'node:fs/promises';

/** A line of /proc/self/mountinfo, as far as it matters here. */
export interface MountTableEntry {
  /** `major:minor` of the file system: one of its own for each mount of a volume. */
  readonly deviceId: string;
  readonly mountPoint: string;
  /** Such as `ext4`, `fuse.galleonfs`. */
  readonly type: string;
  /** Such as `/dev/sda1`, `galleonfs:database`. */
  readonly source: string;
}

/** Everything mounted in this mount namespace, oldest first. Reading it touches none of the mounts. */
export async function readMountTable(): Promise<MountTableEntry[]> {
  return parseMountTable(await readFile('/proc/self/mountinfo', 'utf8'));
}

/** The format of /proc/self/mountinfo: proc_pid_mountinfo(5). */
export function parseMountTable(text: string): MountTableEntry[] {
  const entries: MountTableEntry[] = [];
  for (const line of text.split('\n')) {
    // "36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/root rw": optional fields end with "-".
    const fields = line.split(' ');
    const separator = fields.indexOf('-', 6);
    const deviceId = fields[2];
    const mountPoint = fields[4];
    const type = fields[separator + 1];
    const source = fields[separator + 2];
    if (separator < 0 || mountPoint === undefined || type === undefined || source === undefined) continue;
    entries.push({ deviceId: deviceId ?? '', mountPoint: unescape(mountPoint), type, source: unescape(source) });
  }
  return entries;
}

/** What the user sees at a path: of several mounts on one another, the latest. */
export function mountedAt(table: readonly MountTableEntry[], path: string): MountTableEntry | undefined {
  return table.findLast(({ mountPoint }) => mountPoint === path);
}

/** The kernel writes space, tab, newline and backslash as three octal digits, byte by byte. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
