import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Whether tests can start a server of their own (Debian package `redis-server`). */
export const hasRedisServer: boolean = runs('redis-server', '--version');
/** Whether certificates for TLS can be made. */
export const hasOpenssl: boolean = runs('openssl', 'version');

export interface RedisServerOptions {
  readonly password?: string;
  /** Speak TLS only, with a certificate for `localhost` of an authority of its own. */
  readonly tls?: boolean;
  /** Further words of redis-server's command line, such as `--maxmemory 8mb`. */
  readonly settings?: readonly string[];
}

/** A real redis-server on a free port of the loopback interface, with its data in a folder of its own. */
export interface RedisServer {
  readonly port: number;
  /** With the password, when there is one. */
  readonly url: string;
  /** File of the certificate authority, in PEM; only with TLS. */
  readonly authority: string | undefined;
  /** Starts again on the same port with the data that was written; for use after `kill`. */
  restart(): Promise<void>;
  /** Ends the process at once (SIGKILL). What was acknowledged is on disk. */
  kill(): Promise<void>;
  /** Holds the process still, and lets it go on: connections stay open, nothing answers. */
  pause(): void;
  resume(): void;
  /** Ends the server and removes its data. */
  stop(): Promise<void>;
}

export async function startRedisServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'wayward-redis-'));
  const port = await freePort();
  const isTls = options.tls === true;
  if (isTls) makeCertificates(directory);
  const words = [
    ...['--bind', '127.0.0.1', '--dir', directory, '--save', ''],
    // Every write is on disk before it is acknowledged, so that a kill loses nothing.
    ...['--appendonly', 'yes', '--appendfsync', 'always', '--daemonize', 'no'],
    ...(isTls
      ? [
          ...['--port', '0', '--tls-port', String(port)],
          ...['--tls-cert-file', join(directory, 'server.crt')],
          ...['--tls-key-file', join(directory, 'server.key')],
          ...['--tls-ca-cert-file', join(directory, 'authority.crt'), '--tls-auth-clients', 'no'],
        ]
      : ['--port', String(port)]),
    ...(options.password === undefined ? [] : ['--requirepass', options.password]),
    ...(options.settings ?? []),
  ];
  let child: ChildProcess;
  const start = async (): Promise<void> => {
    child = spawn('redis-server', words, { stdio: ['ignore', 'pipe', 'pipe'] });
    await becomesReady(child, port);
  };
  const end = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  };
  const abandon = (): void => {
    child.kill('SIGKILL');
  };
  await start();
  process.once('exit', abandon);
  const secret = options.password === undefined ? '' : `:${encodeURIComponent(options.password)}@`;
  return {
    port,
    url: `${isTls ? 'rediss' : 'redis'}://${secret}${isTls ? 'localhost' : '127.0.0.1'}:${port}`,
    authority: isTls ? join(directory, 'authority.crt') : undefined,
    restart: start,
    kill: end,
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    stop: async () => {
      await end();
      process.off('exit', abandon);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function runs(program: string, ...words: readonly string[]): boolean {
  return spawnSync(program, words, { stdio: 'ignore' }).status === 0;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Waits until the server says that it takes connections and one is made. */
async function becomesReady(child: ChildProcess, port: number): Promise<void> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const listen = (bytes: Buffer): void => {
      said += String(bytes);
      if (said.includes('Ready to accept connections')) resolve();
    };
    child.stdout?.on('data', listen);
    child.stderr?.on('data', listen);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`redis-server ended (${code}): ${said}`)));
  });
  await new Promise<void>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}

function makeCertificates(directory: string): void {
  const openssl = (...words: readonly string[]): void => {
    execFileSync('openssl', words, { cwd: directory, stdio: 'pipe' });
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl(
    ...['req', '-x509', ...key, '-keyout', 'authority.key', '-out', 'authority.crt'],
    ...['-days', '2', '-subj', '/CN=Test authority'],
  );
  openssl(
    ...['req', '-x509', ...key, '-keyout', 'server.key', '-out', 'server.crt'],
    ...['-CA', 'authority.crt', '-CAkey', 'authority.key', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
  );
}

/** @returns the authority's certificate, for a client's `tls.ca` */
export function readAuthority(server: RedisServer): Buffer {
  return readFileSync(server.authority ?? '');
}
