import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventFile } from './event-file.ts';

test('lines are added, moved away or not; what cannot be written is told once', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-events-'));
  const path = join(folder, 'events');
  const told: string[] = [];
  const write = eventFile(path, (message) => told.push(message));
  write('one');
  rmSync(path);
  write('two');
  expect(readFileSync(path, 'utf8')).toBe('two\n');
  rmSync(path);
  mkdirSync(path);
  write('three');
  write('four');
  expect(told).toEqual([
    expect.stringContaining(`${path}: what happens is not written there: EISDIR`),
  ]);
  rmSync(path, { recursive: true });
  write('five');
  expect(readFileSync(path, 'utf8')).toBe('\nfive\n');
});

test('a place where nothing can be written is refused at once', () => {
  expect(() => eventFile(join(tmpdir(), 'no', 'such', 'folder'), () => {})).toThrow(
    /cannot be written/,
  );
});
