import { describe } from 'node:test';
import type { Driver } from './galleonfs-daemon.ts';
import { directoryTests } from './mount-suite/directory.ts';
import { fixedSizeTests } from './mount-suite/fixed-size.ts';
import { mountedVolumes } from './mount-suite/mounted-volumes.ts';
import { programTests } from './mount-suite/programs.ts';

/** What every mount driver must do, shown with the programs people use, through a real daemon. */
export function mountSuite(driver: Driver): void {
  describe(`a volume mounted by the ${driver} driver`, { timeout: 600_000 }, () => {
    const volumes = mountedVolumes(driver);
    directoryTests(volumes);
    programTests(volumes);
    fixedSizeTests(volumes);
  });
}
