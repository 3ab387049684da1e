import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf, UserError } from '../base/errors.ts';

/** What is served. */
export interface MetricsSource {
  /** `ok` is healthy. */
  readonly state: string;
  /** @returns lines of Prometheus' text format */
  toPrometheus(): string;
}

export interface MetricsServer {
  readonly port: number;
  close(): void;
}

/**
 * Serves `/healthz` (200, or 503 while it drains or cannot reach the queue) and `/metrics`.
 *
 * @param host  address to listen at; the command line gives the loopback interface
 * @throws UserError `port-unavailable`
 */
export async function serveMetrics(
  source: MetricsSource,
  host: string,
  port: number,
): Promise<MetricsServer> {
  // For those who ask: it takes Node 60 ms.
  const { createServer } = await import('node:http');
  const server: Server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const say = (status: number, type: string, body: string): void => {
      response.writeHead(status, {
        'content-type': `${type}; charset=utf-8`,
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      });
      response.end(request.method === 'HEAD' ? '' : body);
    };
    if (!isRead) say(405, 'text/plain', 'only GET and HEAD\n');
    else if (path === '/metrics') {
      say(200, 'text/plain; version=0.0.4', source.toPrometheus());
    } else if (path === '/healthz') {
      const { state } = source;
      say(state === 'ok' ? 200 : 503, 'text/plain', `${state}\n`);
    } else say(404, 'text/plain', 'there are /healthz and /metrics\n');
  });
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new UserError('port-unavailable', `cannot be listened at: ${messageOf(cause)}`, {
          category: 'unavailable',
          path: `${host}:${port}`,
          cause,
        }),
      );
    });
    server.listen(port, host, () => {
      // Monitoring keeps nobody alive.
      server.unref();
      resolve({ port: (server.address() as AddressInfo).port, close: () => void server.close() });
    });
  });
}
