import { useDaemon } from '../daemon-fixture.ts';
import type { GalleonfsDaemon, Driver } from '../galleonfs-daemon.ts';
import { bash } from '../shell.ts';

export const MIB = 2 ** 20;

/** `"$1"` is `data`: fills it with noise, so that what should become zeros was not zeros before. */
export const FILL =
  'head -c "$(stat -c %s "$1")" /dev/urandom | dd of="$1" bs=1M conv=notrunc iflag=fullblock status=none\n';

/** What the tests of one driver share. */
export interface MountedVolumes {
  readonly driver: Driver;
  readonly daemon: GalleonfsDaemon;
  /** Makes and mounts a volume; the path of its `data`. */
  volume(size: string, ...args: string[]): Promise<string>;
  /** The path of a file beside the volumes. */
  local(name: string): string;
  /** Expects `data` to hold what the file `expected` holds, then zeros, and to have kept its size. */
  holds(data: string, expected: string, sizeBytes: number): Promise<void>;
  /** Test options: left out with the portable driver. */
  nativeOnly(why: string): { skip: string | false };
}

/** Call inside describe(). */
export function mountedVolumes(driver: Driver): MountedVolumes {
  const fixture = useDaemon({ driver });
  return {
    driver,
    get daemon() {
      return fixture.daemon;
    },
    volume: (size, ...args) => fixture.volume(size, ...args),
    local: (name) => fixture.scratch.at(name),
    async holds(data, expected, sizeBytes) {
      const script = `test "$(stat -c %s "$1")" = "$3"
        { cat "$2"; head -c "$(($3 - $(stat -c %s "$2")))" /dev/zero; } | cmp - "$1"`;
      await bash(script, data, expected, sizeBytes);
    },
    nativeOnly: (why) => ({ skip: driver === 'portable' && why }),
  };
}
