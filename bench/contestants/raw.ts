import { join } from 'node:path';
import { sparseFile, type Contestant } from '../contestant.ts';

/** A file on the file system of the scratch directory: what everybody else is measured against. */
export const raw: Contestant = {
  name: 'raw',
  description: 'a plain file, no server',
  needs: [],
  open: ({ directory, sizeMib }) => sparseFile(join(directory, 'disk.img'), sizeMib),
};
