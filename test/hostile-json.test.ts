import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { jsonSubjects, tryStrangeJson } from './hostile-json.ts';

// A sample of what `npm run fuzz` tries.
test('every reader of JSON refuses strange values by name, or can live with them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-json-'));
  try {
    for (const subject of await jsonSubjects(folder)) {
      const { refused } = await tryStrangeJson(subject, 40, 5);
      // Reports are read as far as they are reports; of a run's record few values are looked at.
      if (!/report|run\.json/.test(subject.name)) expect(refused, subject.name).toBeGreaterThan(0);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 120_000);
