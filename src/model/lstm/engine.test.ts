import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

test('ONNX Runtime leaves no trace of what it did', () => {
  const home = mkdtempSync(join(tmpdir(), 'wayward-'));
  mkdirSync(join(home, '.cache'));
  const program = `
    import { OnnxGraph } from './src/model/onnx/onnx.ts';
    import { openSession } from './src/model/lstm/engine.ts';
    const graph = new OnnxGraph('one');
    graph.input('x', 'float', [1]);
    graph.node('Add', ['x', 'x'], {}, 'y');
    graph.output('y', 'float', [1]);
    await (await openSession(graph.encode(), 'cpu')).release();
    console.log('ran');
  `;
  try {
    const { ORT_DISABLE_TELEMETRY: _, ...rest } = process.env;
    const env = { ...rest, HOME: home, XDG_CACHE_HOME: join(home, '.cache'), TMPDIR: home };
    const words = ['--input-type=module', '-e', program];
    const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', env });
    expect({ stdout, stderr }).toEqual({ stdout: 'ran\n', stderr: '' });
    expect(readdirSync(home, { recursive: true })).toEqual(['.cache']);
  } finally {
    rmSync(home, { recursive: true });
  }
});
