import { expect, test } from 'vitest';
import { codeBase as base, codeSpace } from '../../../../test/code-space.ts';
import { CodeCache } from '../../../flow/code-cache.ts';
import { ControlFlowGraph } from '../../../flow/control-flow-graph.ts';
import { TraceDecoder } from '../../../flow/trace-decoder.ts';
import { PtEncoder } from '../../../pt/encoder.ts';
import { BranchEncoder } from './branch-encoder.ts';

// 0: call 6; 5: ret; 6: jz 5; 8: ret
const space = codeSpace([0xe8, 1, 0, 0, 0, 0xc3, 0x74, 0xfd, 0xc3]);

/** @returns offsets of the blocks that a decoder finds, and `gap OFFSET` where flow had come to */
async function decoded(branches: (encoder: BranchEncoder, graph: ControlFlowGraph) => void) {
  const parts: Uint8Array[] = [];
  const pt = new PtEncoder((part) => parts.push(part), { bitness: 64, compressReturns: true });
  const cache = new CodeCache();
  branches(new BranchEncoder(pt, 64), new ControlFlowGraph(space, cache));
  pt.finish();
  cache.dispose();
  const decoder = new TraceDecoder({ space, input: Buffer.concat(parts) });
  const flow: (number | string)[] = [];
  await decoder.run(({ entries, length }) => {
    for (let i = 0; i < length; i++) {
      const block = entries[i];
      const mark = decoder.marks[~block];
      if (block >= 0) flow.push(decoder.blocks.offset[block]);
      else if (mark?.kind === 'gap') flow.push(`gap ${(mark.address ?? 0) - base}`);
    }
  });
  return flow;
}

test.each([
  ['a direct call', base, base + 6, [0, 'gap 6']],
  ['a conditional branch', base + 6, base + 5, [6, 'gap 5']],
])('what %s reached is known, though branches are missing after it', async (_, from, to, flow) => {
  const found = await decoded((encoder, graph) => {
    encoder.begin(from);
    encoder.branch(graph, from, to, false);
    encoder.lose();
    encoder.begin(base + 6);
    encoder.branch(graph, base + 6, base + 5, false);
  });
  expect(found.slice(0, 2)).toEqual(flow);
});
