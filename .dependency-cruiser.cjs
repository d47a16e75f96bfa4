// The import order of ARCHITECTURE.md: data and calls run downwards only, and a folder is entered through its index.ts.
const layers = [
  ['cli', 'api'],
  ['daemon', 'service'],
  ['backup', 'replication', 'migration'],
  ['snapshot', 'mount', 'qos', 'security', 'scrub', 'monitoring'],
  ['volume', 'job'],
  ['catalog'],
  ['storage'],
  ['errors', 'config', 'lib'],
];

const downwards = layers.slice(1).map((lower, index) => ({
  name: `${lower.join('-')}-imports-downwards-only`,
  comment: `src/${lower.join(', src/')} must not import a folder above`,
  severity: 'error',
  from: { path: `^src/(${lower.join('|')})/` },
  to: {
    path: `^src/(${layers
      .slice(0, index + 1)
      .flat()
      .join('|')})/|^src/[^/]+$`,
  },
}));

module.exports = {
  forbidden: [
    ...downwards,
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'folders-are-entered-through-index',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { path: '^src/([^/]+)/', pathNot: ['^src/$1/', '^src/[^/]+/index\\.ts$'] },
    },
    {
      name: 'only-storage-loads-the-addon',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/storage/' },
      to: { path: '\\.node$|^build/Release|^native/' },
    },
    {
      name: 'known-folders-only',
      comment: 'a new folder needs a place in the layers above',
      severity: 'error',
      from: { path: '^src/', pathNot: `^src/(${layers.flat().join('|')})/|^src/[^/]+$` },
      to: {},
    },
    {
      name: 'product-does-not-import-tests',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench)/' },
    },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-development-dependencies-in-the-product',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types'] },
  },
};
