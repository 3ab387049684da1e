// Runs the command line. Node keeps the compiled code in the user's cache folder, which halves the
// time that a command takes to start; NODE_COMPILE_CACHE names another folder, and
// NODE_DISABLE_COMPILE_CACHE=1 turns it off.
'use strict';

const { existsSync } = require('node:fs');
const { enableCompileCache } = require('node:module');
const { homedir } = require('node:os');
const { join } = require('node:path');

const { NODE_COMPILE_CACHE, XDG_CACHE_HOME } = process.env;
enableCompileCache(
  NODE_COMPILE_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'wayward'),
);
if (existsSync(join(__dirname, '../dist/cli/main.js'))) import('../dist/cli/main.js');
else {
  console.error(
    'wayward: not built; in its sources, "npm run build", then pack and install it again',
  );
  process.exitCode = 2;
}
