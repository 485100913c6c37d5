// All of the package, as an application that uses all of it has it in its bundle.
export * from '../../src/index.js';
export * from '../../src/react.js';
