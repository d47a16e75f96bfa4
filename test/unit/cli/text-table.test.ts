import assert from 'node:assert/strict';
import { test } from 'node:test';
import { textFields, textTable } from '../../../src/cli/text-table.ts';

test('columns are as wide as their widest cell', () => {
  assert.equal(
    textTable(
      ['A', 'B'],
      [
        ['long', 'x'],
        ['s', 'y'],
      ],
    ),
    'A     B\nlong  x\ns     y',
  );
});

test('values of fields stand in one column', () => {
  assert.equal(
    textFields([
      ['A', '1'],
      ['Long', '2'],
    ]),
    'A:     1\nLong:  2',
  );
});
