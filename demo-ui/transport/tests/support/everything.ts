// The whole package, as in the bundle of an application that uses all of it.
export * from '../../src/index.js';
export * from '../../src/react.js';
