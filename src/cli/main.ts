#!/usr/bin/env node
import { asksForJson, describeFailure } from './frame/failure.ts';
import { guardOutput, writeOut } from './frame/output.ts';
import { runCommand } from './run-command.ts';

guardOutput();
const words = process.argv.slice(2);
await runCommand(words).catch((error: unknown) => {
  const { text, document, code } = describeFailure(error);
  process.stderr.write(text);
  if (asksForJson(words, process.env)) writeOut(`${JSON.stringify(document)}\n`);
  process.exitCode = code;
});
