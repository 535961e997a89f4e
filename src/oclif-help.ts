// By itself, for help alone wants it; by name, for a bundler gives an imported CommonJS module no other exports.
export { Help } from '@oclif/core/help';
