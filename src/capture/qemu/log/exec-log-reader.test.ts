import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Recording } from '../recording.ts';
import { ExecLogReader } from './exec-log-reader.ts';
import { SystemCallLog } from './system-call-log.ts';

/** As QEMU 7.2 writes it, with what happens to lines when two threads and a page dump meet. */
const log = `page layout changed following mmap
start    end      size     prot
00400000-00402000 00002000 r-x
start_code  0x0000000000400000
entry       0x0000000000400000
----------------
IN: main
0x00400000:  48 b8 11 22 33 44 55 66  movabsq  $0x8877665544332211, %rax
0x00400008:  77 88
0x0040000a:  75 f4                    jne      0x400000

Trace 0: 0x7f0000000100 [0000000000000000/0000000000400000/1040c0b3/00080200] main
Trace 0: 0x7f0000000100 [0000000000000000/0000000000400000/1040c0b3/00080200] main
Stopped execution of TB chain before 0x7f0000000100 [0000000000400000] main
--- SIGALRM {si_signo=SIGALRM, si_code=SI_KERNEL, si_pid=0, si_uid=0} ---
----------------
IN:
0x00400100:  c3                       retq

Trace 0: 0x7f0000000300 [0000000000000000/0000000000400100/1040c0b3/00080200]
77 openat(-100,"/tmp/a b",O_RDONLY) = 3
77 mmap(NULL,8192,PROT_EXEC|PROT_READ,MAP_PRIVATE,3,0x1000)page layout changed following mmap
00400000-00402000 00002000 r-x
 = 0x0000004002000000
77 mprotect(0x0000004002000000,4096,PROT_READ)Trace 1: 0x7f0000000300 [0000000000000000/0000000000400100/1040c0b3/00080200]
 = 0
77 clone(CLONE_VM|CLONE_THREAD,child_stack=0x1) = 78
77 execve("/bin/none",{NULL}) = -1 errno=2 (No such file or directory)
77 exit(0)
`;

function read(...chunks: Buffer[]): { recording: Recording; seen: [number, number][] } {
  const seen: [number, number][] = [];
  const recording = new Recording({
    bitness: 64,
    compressReturns: true,
    maxBlocks: 1_000_000,
    onBlock: (address, thread) => seen.push([thread, address]),
  });
  const program = {
    path: '/bin/program',
    segments: [{ address: 0, fileOffset: 0, length: 8192, isExecutable: true }],
    codeStart: 0,
    entry: 0,
  };
  const reader = new ExecLogReader(
    recording,
    new SystemCallLog(recording, program, undefined, '/'),
  );
  for (const chunk of chunks) reader.add(chunk);
  reader.finish();
  recording.finish(false);
  return { recording, seen };
}

describe('ExecLogReader', () => {
  const bytes = Buffer.from(log);
  const expected: [number, number][] = [
    [0, 0x400000],
    [0, 0x400100],
    [1, 0x400100],
  ];

  it('reads blocks, listings and system calls, lines within lines, and takes back what did not run', () => {
    const { recording, seen } = read(bytes);
    expect(seen).toEqual(expected);
    expect(recording.table.last[0]).toBe(0x40000a);
    expect(recording.table.bytes[0]?.length).toBe(12);
    expect([...recording.handlers]).toEqual([]);
    expect(recording.replacedBy).toBeUndefined();
    expect(recording.map.text()).toBe(
      '00400000-00402000 r-xp 00000000 00:00 0 /bin/program\n' +
        '4002000000-4002002000 r-xp 00001000 00:00 0 /tmp/a b\n',
    );
  });

  it('gives the same wherever the pipe cuts it', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 6 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
        expect(read(...chunks).seen).toEqual(expected);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  it('reads any text without failing', () => {
    const change = fc.record({
      at: fc.nat(bytes.length - 1),
      length: fc.nat(40),
      text: fc.oneof(fc.string({ maxLength: 30 }), fc.constantFrom('Trace ', '\n', 'IN: \n', '0x')),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        let text = log;
        for (const { at, length, text: put } of changes) {
          text = text.slice(0, at) + put + text.slice(at + length);
        }
        read(Buffer.from(text));
      }),
      { seed: 2, numRuns: 3000 },
    );
  });
});
