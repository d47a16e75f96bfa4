/** What a volume is made of and how it is treated; the words are those of Kubernetes' StorageClass. */
export interface StorageClass {
  readonly name: string;
  /** `galleonfs.io/local-ssd`, `local-hdd`, `encrypted` or `distributed`. */
  readonly provisioner: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly reclaimPolicy: 'Delete' | 'Retain';
  readonly volumeBindingMode: 'Immediate' | 'WaitForFirstConsumer';
  /** The class of volumes created without naming one. */
  readonly isDefault: boolean;
}
