import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ProcessCode } from '../src/evidence/code/process-code.ts';
import { EvidenceCollector } from '../src/evidence/collector.ts';
import type { Evidence } from '../src/evidence/evidence.ts';
import { evidenceRules } from '../src/evidence/rules.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { openTraces } from '../src/trace/open-trace.ts';
import { readSample } from '../src/trace/sample.ts';
import { hasTool, Workshop } from './compiled.ts';
import { buildImages, PeFlow } from './windows/pe-flow.ts';

const hasMingw = hasTool('x86_64-w64-mingw32-gcc');
if (!hasMingw) console.log('skipped: there is no x86_64-w64-mingw32-gcc (gcc-mingw-w64-x86-64)');

/** Frames below the first function of a thread: RtlUserThreadStart's and BaseThreadInitThunk's. */
const frames = 2;

/** What a thread of `app.exe` does, in pieces between which an attacker may write to memory. */
const stories: Readonly<Record<string, (flow: PeFlow) => readonly (() => void)[]>> = {
  'calls through import stubs': (flow) => [
    () => flow.aim('imports').walk('kernel32!GetTickCount'),
    () => flow.walk(),
  ],
  'calls that Control Flow Guard checks': (flow) => [
    () => flow.aim('guarded', 'callee', 'callee').walk('kernel32!GetTickCount'),
    () => flow.walk(),
  ],
  'an exception that a scope table handles, two frames up': (flow) => [
    () => flow.aim('protected', 'vectored').walk('RtlpExecuteHandlerForException'),
    () => flow.aim('app!__C_specific_handler', 'filter').walk('RtlUnwindEx'),
    () =>
      flow
        .aim('app!__C_specific_handler', 'landing')
        .take('is_unwinding')
        .keep(frames)
        .walk('landing'),
    () => flow.walk('kernel32!GetTickCount'),
    () => flow.walk(),
  ],
  'a fault that a vectored handler mends': (flow) => [
    () => flow.aim('faulting').walk('fault').enter('KiUserExceptionDispatcher'),
    () => flow.aim('vectored', 'fault').take('is_handled').keep(frames).walk('fault'),
    () => flow.walk('kernel32!GetTickCount'),
    () => flow.walk(),
  ],
  'an asynchronous procedure call during a wait': (flow) => [
    () => flow.aim('waits').walk().enter('KiUserApcDispatcher'),
    () => flow.aim('apc').walk('kernel32!GetTickCount'),
    () => flow.walk().resume(),
    () => flow.walk(),
  ],
  'a callback of the kernel into a window procedure': (flow) => [
    () => flow.aim('pumps').walk().enter('KiUserCallbackDispatcher'),
    () => flow.aim('__fnDWORD', 'window').walk('kernel32!GetTickCount'),
    () => flow.walk().resume(),
    () => flow.walk(),
  ],
  'a wait within a callback, with a procedure call': (flow) => [
    () => flow.aim('pumps').walk().enter('KiUserCallbackDispatcher'),
    () => flow.aim('__fnDWORD', 'waits').walk().enter('KiUserApcDispatcher'),
    () => flow.aim('apc').walk('kernel32!GetTickCount'),
    () => flow.walk().resume(),
    () => flow.walk().resume(),
    () => flow.walk(),
  ],
};

describe.skipIf(!hasMingw)('evidence of PE images', () => {
  const workshop = new Workshop();
  const bin = join(workshop.folder, 'bin');
  const images = hasMingw ? buildImages(workshop.folder, bin) : [];
  let count = 0;

  const proofsOf = async (flow: PeFlow, compressReturns: boolean): Promise<Evidence[]> => {
    const folder = join(workshop.folder, `sample${count++}`);
    flow.write(folder, compressReturns);
    const codeCache = new CodeCache();
    const context = { images: new ImageStore([bin]), codeCache, preprocessed: false };
    const [trace] = await openTraces(await readSample(folder), context);
    const { source, space } = trace!;
    const code = new ProcessCode(space!);
    const collector = new EvidenceCollector(source, { space: space!, code });
    const summary = await source.run((batch) => collector.push(batch));
    codeCache.dispose();
    expect(summary.gaps).toBe(0);
    expect(summary.blocks).toBe(flow.length);
    return collector.evidence.filter(({ kind }) => evidenceRules[kind].strength === 'proof');
  };
  const thread = (): PeFlow => new PeFlow(images, 'RtlUserThreadStart').aim('BaseThreadInitThunk');

  for (const compressReturns of [true, false]) {
    describe(compressReturns ? 'with compressed returns' : 'without compressed returns', () => {
      for (const [name, story] of Object.entries(stories)) {
        it(`holds none for ${name}`, async () => {
          const flow = thread();
          for (const piece of story(flow)) piece();
          expect(await proofsOf(flow, compressReturns)).toEqual([]);
        });

        it(`shows an overwritten return address after ${name}`, async () => {
          const flow = thread();
          const pieces = story(flow);
          for (const piece of pieces.slice(0, -1)) piece();
          flow.corruptReturn(0, 'inside_RtlpGadget', 'inside_secret', 'RtlExitUserThread');
          flow.walk('inside_RtlpGadget');
          const place = flow.length - 1;
          flow.walk();
          const proofs = await proofsOf(flow, compressReturns);
          expect(proofs[0]).toMatchObject({
            position: place,
            actual: flow.address('inside_RtlpGadget'),
          });
        });
      }

      it.each([
        ['the middle of a function', 'inside_secret'],
        ['a function that no pointer holds', 'secret'],
      ])(
        'shows a pointer that leads to %s, behind the thunk of Control Flow Guard',
        async (_, to) => {
          const flow = thread().aim('guarded', to).walk(to);
          const place = flow.length - 1;
          flow.aim('callee').walk();
          const proofs = await proofsOf(flow, compressReturns);
          expect(proofs[0]).toMatchObject({ position: place, actual: flow.address(to) });
        },
      );

      it('shows an import whose table was overwritten', async () => {
        const flow = thread().aim('imports');
        flow
          .overwriteImport('app!__imp_GetTickCount', 'inside_RtlpGadget')
          .walk('inside_RtlpGadget');
        const place = flow.length - 1;
        flow.walk();
        const proofs = await proofsOf(flow, compressReturns);
        expect(proofs[0]).toMatchObject({
          position: place,
          actual: flow.address('inside_RtlpGadget'),
        });
      });

      it('shows a window procedure that leads into the middle of a function', async () => {
        const flow = thread().aim('pumps').walk().enter('KiUserCallbackDispatcher');
        flow.aim('__fnDWORD', 'inside_secret').walk('inside_secret');
        const place = flow.length - 1;
        flow.walk().resume().walk();
        const proofs = await proofsOf(flow, compressReturns);
        expect(proofs[0]).toMatchObject({ position: place, actual: flow.address('inside_secret') });
      });
    });
  }
});
