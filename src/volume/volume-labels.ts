import { GalleonError } from '../errors/index.ts';

const LABELS_MAX = 32;
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;

/**
 * Labels are small: at most 32, keys as in Kubernetes (letters, digits, `.`, `_`, `-`, `/`; up to 63), values up to 256
 * characters. @throws GalleonError VOLUME_LABEL_INVALID
 */
export function checkLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(labels);
  if (entries.length > LABELS_MAX) {
    throw new GalleonError('VOLUME_LABEL_INVALID', `${entries.length} labels are too many: ${LABELS_MAX} are possible`);
  }
  for (const [key, value] of entries) {
    if (!LABEL.test(key)) {
      throw new GalleonError(
        'VOLUME_LABEL_INVALID',
        `label ${JSON.stringify(key)} is not made of A-Z, a-z, 0-9, ".", "_", "-" and "/" (1 to 63)`,
      );
    }
    if (value.length > 256) {
      throw new GalleonError(
        'VOLUME_LABEL_INVALID',
        `the value of label "${key}" has ${value.length} characters: 256 are possible`,
      );
    }
  }
  return { ...labels };
}
