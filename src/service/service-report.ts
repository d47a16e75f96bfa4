/** What an installation or a removal did, or would do, in its order. */
export interface ServiceReport {
  readonly dryRun: boolean;
  readonly steps: readonly ServiceStep[];
  /** For people: what to know, what to do next. */
  readonly notes: readonly string[];
}

export type ServiceStep =
  | { readonly action: 'write' | 'keep' | 'remove' | 'make directory'; readonly path: string }
  | { readonly action: 'run'; readonly command: string };
