export { DamageWatch, type DamageSource } from './damage-watch.ts';
export { createLogger } from './logger.ts';
export type { VolumeReading } from './metrics.ts';

/** Loaded when somebody listens: a daemon that programs wait for starts faster without. */
export async function loadMetrics(): Promise<typeof import('./metrics.ts')> {
  return await import('./metrics.ts');
}
