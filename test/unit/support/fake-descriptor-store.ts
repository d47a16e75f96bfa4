import type { DescriptorStore, DescriptorStoreKind } from '../../../src/storage/index.ts';

/** Keeps numbers instead of descriptors, and remembers what it was told. */
export class FakeDescriptorStore implements DescriptorStore {
  kind: DescriptorStoreKind = 'supervisor';
  inherited = new Map<string, readonly number[]>();
  readonly dropped: string[] = [];
  readonly said: string[] = [];
  settled = false;
  handedOver = false;

  drop(key: string): void {
    this.dropped.push(key);
  }

  settle(): void {
    this.settled = true;
  }

  handOver(): Promise<void> {
    this.handedOver = true;
    return Promise.resolve();
  }

  notify(state: string): void {
    this.said.push(state);
  }
}
