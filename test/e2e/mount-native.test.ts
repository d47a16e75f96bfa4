import { mountSuite } from './support/mount-suite.ts';

mountSuite('native');
