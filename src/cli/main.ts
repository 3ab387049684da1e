#!/usr/bin/env node
import { asksForJson, describeFailure } from './frame/failure.ts';
import { guardOutput, writeOut } from './frame/output.ts';
import { runCommand } from './run-command.ts';

guardOutput();
const words = process.argv.slice(2);
const tell = (error: unknown): void => {
  const { text, document, code } = describeFailure(error);
  process.stderr.write(text);
  if (asksForJson(words, process.env)) writeOut(`${JSON.stringify(document)}\n`);
  process.exitCode = code;
};
// What nobody waited for: Node itself would end with 1, as for a wrong option.
process.on('uncaughtException', (error) => {
  tell(error);
  process.exit();
});
await runCommand(words).catch(tell);
