export { DamageWatch, type DamageSource } from './damage-watch.ts';
export { createLogger } from './logger.ts';
export { createMetrics, type VolumeReading } from './metrics.ts';
