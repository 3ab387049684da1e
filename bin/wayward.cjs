#!/usr/bin/env node
// What `wayward` starts. Kept to what the oldest Node can parse, so that an old one gets a sentence
// and no syntax error.
'use strict';

var needed = require('../package.json').engines.node.replace('>=', '');

/** The package `node` of npm is a Node that runs beside the machine's own. */
var npx = 'With npm: npx --package node@' + needed.split('.')[0] + ' -- wayward ...';

/** Compares versions by number; of a missing part nothing is said. */
function isOlder(version, than) {
  var ours = version.split('.');
  var theirs = than.split('.');
  var i;
  for (i = 0; i < theirs.length; i++) {
    if (+ours[i] !== +theirs[i]) return +ours[i] < +theirs[i];
  }
  return false;
}

if (isOlder(process.versions.node, needed)) {
  console.error('wayward: Node %s or newer is needed; this is %s. ' + npx, needed, process.version);
  process.exit(2);
} else {
  require('./start.cjs');
}
