import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { delimiter, join } from 'node:path';
import { failureOf, messageOf, UserError } from '../../../base/errors.ts';
import {
  Guest,
  type GuestHello,
  type GuestListener,
  type GuestProgram,
  parseHello,
} from './guest.ts';
import { readProgram } from './program-file.ts';

/** Between two looks at what silent processes have not sent, in ms. */
const lookInterval = 10;
/** A guest greets with its first bytes. */
const mostHelloBytes = 16 + 256;
const helloFrame = 6;
const noOrigin = 'nothing is known of where it comes from';
/** The plugin waits where it has sent some thousand blocks more than it was granted; for so many it gets a byte. */
const grantedBlocks = 4096;
const mostUnheard = 1 << 16;
/** Processes that are followed at a time. */
const mostGuests = 1024;

export interface GuardedProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Compiled plugin, in `work`: who has it mapped is of this program. */
  readonly plugin: string;
  /** An empty folder that nobody else may enter. */
  readonly work: string;
  /** The program goes on when nobody listens any more; otherwise it ends. */
  readonly isOpen: boolean;
  /** The program's standard input, output and error. */
  readonly stdio: 'inherit' | 'ignore';
  /** Folders in which QEMU is looked for. */
  readonly searchPath: string;
  /** A process is followed from now on. */
  readonly onGuest: (guest: Guest) => GuestListener;
  /** @returns whether a process that turns into this program is to be followed there */
  readonly mayFollow: (program: GuestProgram, guest: Guest) => boolean;
  /** What a process does is not followed from here on, or was not. */
  readonly onLost: (what: string, pid: number) => void;
}

/** How the program itself ended. */
export interface ProgramExit {
  readonly code: number | null;
  readonly killedBy: NodeJS.Signals | null;
}

interface Followed {
  readonly guest: Guest;
  readonly listener: GuestListener;
  readonly socket: Socket;
  /** Translation blocks that it was told are read. */
  granted: number;
  isPaused: boolean;
}

/** A connection whose process is not known yet, or waits for what its parent knew. */
interface Waiting {
  readonly socket: Socket;
  readonly hello: GuestHello;
  readonly first: Buffer;
}

/** A program under QEMU, with all its processes that the plugin can follow. */
export class GuardedProgram {
  /** When the program itself has ended; its children may go on. */
  readonly exited: Promise<ProgramExit>;
  /** When every process that was followed has ended, and all was told. */
  readonly ended: Promise<void>;
  readonly child: ChildProcess;
  readonly #options: GuardedProgramOptions;
  readonly #server: Server;
  readonly #program: GuestProgram;
  readonly #guests: Map<string, Followed> = new Map();
  readonly #waiting: Set<Waiting> = new Set();
  /** Programs that processes are about to turn into, by process. */
  readonly #next: Map<number, GuestProgram> = new Map();
  readonly #files: Map<string, Uint8Array | undefined> = new Map();
  readonly #timer: NodeJS.Timeout;
  #hasExited = false;
  #finish: () => void = () => {};

  private constructor(
    options: GuardedProgramOptions,
    program: GuestProgram,
    server: Server,
    qemu: readonly [string, string],
  ) {
    this.#options = options;
    this.#program = program;
    this.#server = server;
    this.ended = new Promise((resolve) => {
      this.#finish = resolve;
    });
    const { command: _, args, cwd, env, stdio } = options;
    server.on('connection', (socket) => this.#onConnection(socket));
    const [qemu64, qemu32] = qemu;
    this.child = spawn(
      program.bitness === 64 ? qemu64 : qemu32,
      ['-cpu', 'max', '-plugin', this.#pluginOption(qemu), program.path, ...args],
      { env: { ...env }, stdio, ...(cwd === undefined ? {} : { cwd }) },
    );
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', (cause) =>
        reject(
          new UserError('no-qemu', `QEMU cannot be run: ${messageOf(cause)}`, {
            category: 'unavailable',
            cause,
          }),
        ),
      );
      this.child.on('exit', (code, killedBy) => {
        this.#hasExited = true;
        resolve({ code, killedBy });
        this.#endIfDone();
      });
    });
    this.exited.catch(() => this.#close());
    this.#timer = setInterval(() => {
      for (const { guest, socket } of this.#guests.values()) {
        guest.readAhead();
        if (guest.damage !== undefined) socket.destroy();
      }
    }, lookInterval);
  }

  /** @throws UserError `no-qemu`, `not-readable`, `not-recordable` */
  static async start(options: GuardedProgramOptions): Promise<GuardedProgram> {
    const program = await readProgram(options.command);
    const qemu: readonly [string, string] = [
      findProgram('qemu-x86_64', options.searchPath),
      findProgram('qemu-i386', options.searchPath),
    ];
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socketIn(options.work), resolve);
    });
    return new GuardedProgram(options, program, server, qemu);
  }

  #pluginOption([qemu64, qemu32]: readonly [string, string]): string {
    const { plugin, work, isOpen } = this.#options;
    const own = [`tails=${work}`, `sock=${socketIn(work)}`, `plugin=${plugin}`];
    const programs = [`qemu64=${qemu64}`, `qemu32=${qemu32}`];
    return [`file=${plugin}`, ...own, ...programs, ...(isOpen ? ['open=on'] : [])].join(',');
  }

  /** Reads no more of a process, so that it waits with what it has to tell. */
  pause(guest: Guest): void {
    const followed = this.#guests.get(guest.hello.prefix);
    if (followed === undefined) return;
    followed.isPaused = true;
    followed.socket.pause();
  }

  resume(guest: Guest): void {
    const followed = this.#guests.get(guest.hello.prefix);
    if (followed === undefined) return;
    followed.isPaused = false;
    this.#grant(followed);
    followed.socket.resume();
  }

  /** Processes that are followed now. */
  get guests(): readonly Guest[] {
    return [...this.#guests.values()].map(({ guest }) => guest);
  }

  /** Sends a signal to all of them. */
  signalAll(signal: NodeJS.Signals): void {
    for (const { guest } of this.#guests.values()) {
      if (this.#ownerOf(guest.hello.pid) === 'ours') sendSignal(guest.hello.pid, signal);
    }
    if (!this.#hasExited) this.child.kill(signal);
  }

  /**
   * Whose a process is, whatever somebody says: one of this program has mapped this guard's plugin. One that
   * has ended has nothing mapped; what it sent before still counts.
   */
  #ownerOf(pid: number): 'ours' | 'ended' | 'other' {
    try {
      const maps = readFileSync(`/proc/${pid}/maps`, 'utf8');
      if (maps === '') return 'ended';
      return maps.includes(` ${this.#options.plugin}\n`) ? 'ours' : 'other';
    } catch (error) {
      return ['ENOENT', 'ESRCH'].includes(failureOf(error) ?? '') ? 'ended' : 'other';
    }
  }

  #onConnection(socket: Socket): void {
    let first: Buffer = Buffer.alloc(0);
    const onFirst = (chunk: Buffer): void => {
      first = Buffer.concat([first, chunk]);
      const isWhole = first.length >= 16 && first.length >= 16 + first.readUInt32LE(8);
      if (!isWhole && first.length < mostHelloBytes) return;
      socket.off('data', onFirst);
      socket.pause();
      const hello = helloIn(first);
      if (hello === undefined || this.#ownerOf(hello.pid) === 'other') {
        const pid = hello?.pid ?? 0;
        this.#options.onLost('what connects as a process of the program and is none', pid);
        socket.destroy();
        return;
      }
      this.#waiting.add({ socket, hello, first: first.subarray(16 + first.readUInt32LE(8)) });
      this.#admit();
    };
    socket.on('data', onFirst);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#endIfDone());
  }

  /** Follows processes whose parents have told all that they knew. */
  #admit(): void {
    for (const waiting of this.#waiting) {
      const { hello, socket, first } = waiting;
      const parent = this.#guests.get(hello.parent)?.guest;
      const isKnown = hello.parent === '' || parent !== undefined;
      if (isKnown && parent !== undefined && parent.recording.table.start.length < hello.known) {
        continue;
      }
      this.#waiting.delete(waiting);
      const program = parent?.program ?? this.#next.get(hello.pid) ?? this.#first(hello);
      this.#next.delete(hello.pid);
      if (!isKnown || program === undefined || this.#guests.size >= mostGuests) {
        this.#options.onLost(noOrigin, hello.pid);
        socket.destroy();
        continue;
      }
      this.#follow(waiting, program, parent);
      const followed = this.#guests.get(hello.prefix);
      if (followed !== undefined && first.length > 0) this.#take(followed, first);
    }
  }

  /** The program itself is the first process that comes by itself. */
  #first(hello: GuestHello): GuestProgram | undefined {
    return hello.pid === this.child.pid ? this.#program : undefined;
  }

  #follow({ socket, hello }: Waiting, program: GuestProgram, parent: Guest | undefined): void {
    const { work, onGuest } = this.#options;
    const guest: Guest = new Guest(
      ...([hello, { ...program, bitness: hello.bitness }, work, this.#files] as const),
      () => followed.listener,
      (path) => void this.#onMayExec(guest, socket, path),
      parent,
    );
    const followed: Followed = {
      ...{ guest, listener: onGuest(guest), socket },
      ...{ granted: 0, isPaused: false },
    };
    this.#guests.set(hello.prefix, followed);
    socket.on('data', (chunk: Buffer) => this.#take(followed, chunk));
    socket.on('close', () => {
      followed.listener.onEnd(guest.finish());
      this.#guests.delete(hello.prefix);
      // Children of it that are still waiting know no more than it told.
      if (this.#waiting.size > 0) this.#admit();
      this.#endIfDone();
    });
    socket.resume();
  }

  #take(followed: Followed, chunk: Buffer): void {
    const { guest, socket } = followed;
    guest.add(chunk);
    // Who sends what is none is not listened to any more, which ends it.
    if (guest.damage !== undefined) socket.destroy();
    else if (!followed.isPaused) this.#grant(followed);
    if (this.#waiting.size > 0) this.#admit();
  }

  /** Tells a process how much of what it sent is read. One that does not listen is none of the plugin's. */
  #grant(followed: Followed): void {
    const { guest, socket } = followed;
    const count = Math.floor((guest.executed - followed.granted) / grantedBlocks);
    if (count === 0 || socket.destroyed) return;
    followed.granted += count * grantedBlocks;
    if (socket.writableLength > mostUnheard) socket.destroy();
    else socket.write('+'.repeat(count));
  }

  async #onMayExec(guest: Guest, socket: Socket, path: string): Promise<void> {
    let answer = 'n';
    try {
      const program = await readProgram(this.#pathIn(guest, path));
      if (this.#options.mayFollow(program, guest)) {
        this.#next.set(guest.hello.pid, program);
        answer = program.bitness === 64 ? '6' : '3';
      }
    } catch {
      // A script, a program for another processor, or none: the system does what it does with it.
    }
    if (!socket.destroyed) socket.write(answer);
  }

  /** A relative path is one of the process's own folder. */
  #pathIn(guest: Guest, path: string): string {
    return path.startsWith('/') ? path : join(`/proc/${guest.hello.pid}/cwd`, path);
  }

  #endIfDone(): void {
    if (!this.#hasExited || this.#guests.size > 0) return;
    // What connected last may not have been let in yet.
    for (const { socket, hello } of this.#waiting) {
      this.#options.onLost(noOrigin, hello.pid);
      socket.destroy();
    }
    this.#waiting.clear();
    this.#close();
  }

  #close(): void {
    clearInterval(this.#timer);
    this.#server.close();
    this.#finish();
  }
}

function socketIn(work: string): string {
  return join(work, 'guard.sock');
}

function helloIn(first: Buffer): GuestHello | undefined {
  if (first.length < 16 || first.readUInt32LE(0) !== helloFrame) return undefined;
  const length = first.readUInt32LE(8);
  if (length > 256 || first.length < 16 + length) return undefined;
  return parseHello(first.toString('utf8', 16, 16 + length));
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}

function findProgram(name: string, searchPath: string): string {
  const found = searchPath
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new UserError('no-qemu', `${name} is not installed (Debian, Ubuntu: package qemu-user)`, {
    category: 'unavailable',
  });
}
