import type { Log } from '../lib/index.ts';
import type { VolumeStore } from '../storage/index.ts';

/** Says what opening a store found: quietly after a clean stop, loudly when something durable was lost. */
export function logRecovery(log: Log, volume: string, store: VolumeStore): void {
  const { recovery } = store;
  const fields = { volume, ...recovery };
  if (recovery.damagedEntries > 0) {
    log.error(fields, `volume "${volume}": ${recovery.damagedEntries} journal entries that were durable are damaged`);
  } else if (recovery.usedOlderSuperblock) {
    log.warn(fields, `volume "${volume}": one superblock is damaged, the other was used`);
  } else if (recovery.replayedEntries > 0) {
    log.info(fields, `volume "${volume}": replayed ${recovery.replayedEntries} journal entries`);
  } else {
    log.debug(fields, `volume "${volume}": opened`);
  }
}
