import { mountSuite } from './support/mount-suite.ts';

mountSuite('portable');
