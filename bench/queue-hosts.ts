import { execFileSync } from 'node:child_process';

/** Places where workers run: network namespaces that stand for hosts, or just processes. */
export interface Hosts {
  /** What they are, for the report. */
  readonly kind: string;
  /** Address at which every host reaches this one. */
  readonly address: string;
  /** Words before a command that is to run on a host. */
  readonly on: (host: number) => readonly string[];
  close(): void;
}

const bridge = 'wayward0';
const name = (host: number): string => `wayward${host + 1}`;
const ip = (...words: readonly string[]): void => {
  execFileSync('ip', words, { stdio: 'pipe' });
};

/**
 * Makes network namespaces on a bridge, each with a stack and an address of its own; where that is not
 * allowed (it takes root), the hosts are processes of this one.
 */
export function makeHosts(count: number): Hosts {
  const close = (): void => {
    for (let host = 0; host < count; host++) {
      // A namespace that goes takes its end along, but not at once.
      tryTo(() => ip('link', 'del', `way-${host}`));
      tryTo(() => ip('netns', 'del', name(host)));
    }
    tryTo(() => ip('link', 'del', bridge));
  };
  try {
    close();
    ip('link', 'add', bridge, 'type', 'bridge');
    ip('addr', 'add', '10.77.0.1/24', 'dev', bridge);
    ip('link', 'set', bridge, 'up');
    for (let host = 0; host < count; host++) {
      ip('netns', 'add', name(host));
      ip('link', 'add', `way-${host}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name(host));
      ip('link', 'set', `way-${host}`, 'master', bridge, 'up');
      ip('-n', name(host), 'addr', 'add', `10.77.0.${host + 2}/24`, 'dev', 'eth0');
      ip('-n', name(host), 'link', 'set', 'eth0', 'up');
      ip('-n', name(host), 'link', 'set', 'lo', 'up');
    }
    return {
      kind: `${count} network namespaces`,
      address: '10.77.0.1',
      on: (host) => ['ip', 'netns', 'exec', name(host)],
      close,
    };
  } catch (error) {
    close();
    const why = (error as Error).message.split('\n')[1] ?? '';
    return {
      kind: `processes, because network namespaces are not allowed (${why})`,
      address: '127.0.0.1',
      on: () => [],
      close: () => {},
    };
  }
}

function tryTo(work: () => void): void {
  try {
    work();
  } catch {
    // It is not there.
  }
}
