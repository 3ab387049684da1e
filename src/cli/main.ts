#!/usr/bin/env node
import { describeFailure } from './frame/failure.ts';
import { guardOutput } from './frame/output.ts';
import { runCommand } from './run-command.ts';

guardOutput();
await runCommand(process.argv.slice(2)).catch((error: unknown) => {
  const { text, code } = describeFailure(error);
  process.stderr.write(text);
  process.exitCode = code;
});
