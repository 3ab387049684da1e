/** How a job ended. */
export type JobEnd = 'done' | 'failed' | 'crashed';

/** What a worker has done, for monitoring. */
export class WorkerMetrics {
  busy = 0;
  /** Jobs that another worker took over. */
  lost = 0;
  isDraining = false;
  readonly #facts: { readonly version: string; readonly lane: string; readonly width: number };
  readonly #counts: Map<string, { count: number; seconds: number }> = new Map();
  readonly #started: number = Date.now() / 1000;

  constructor(version: string, lane: string, width: number) {
    this.#facts = { version, lane, width };
  }

  count(task: string, end: JobEnd, seconds: number): void {
    // A name from outside must not make up labels without end.
    const key = `task="${/^[a-z]{1,20}$/.test(task) ? task : 'other'}",end="${end}"`;
    const item = this.#counts.get(key) ?? { count: 0, seconds: 0 };
    item.count++;
    item.seconds += seconds;
    this.#counts.set(key, item);
  }

  /** @see https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4 */
  toPrometheus(isConnected: boolean): string {
    const { version, lane, width } = this.#facts;
    const lines: string[] = [];
    const put = (name: string, kind: string, help: string, samples: readonly string[]): void => {
      lines.push(`# HELP wayward_${name} ${help}`, `# TYPE wayward_${name} ${kind}`);
      for (const sample of samples) lines.push(`wayward_${name}${sample}`);
    };
    const info = `{version="${version}",lane="${lane}",node="${process.version}"} 1`;
    put('worker_info', 'gauge', 'What this worker is.', [info]);
    put('worker_slots', 'gauge', 'Jobs that it does at the same time.', [` ${width}`]);
    put('worker_busy', 'gauge', 'Jobs that it is doing.', [` ${this.busy}`]);
    put('worker_draining', 'gauge', '1 when it takes no more jobs.', [
      ` ${Number(this.isDraining)}`,
    ]);
    put('worker_connected', 'gauge', '1 when the queue can be reached.', [
      ` ${Number(isConnected)}`,
    ]);
    put('worker_start_time_seconds', 'gauge', 'When it began, since 1970.', [` ${this.#started}`]);
    const items = [...this.#counts];
    const counts = items.map(([labels, { count }]) => `{${labels}} ${count}`);
    put('jobs_total', 'counter', 'Jobs by task and how they ended.', counts);
    const seconds = items.map(([labels, item]) => `{${labels}} ${item.seconds}`);
    put('job_seconds_total', 'counter', 'Time spent on them.', seconds);
    put('jobs_lost_total', 'counter', 'Jobs that another worker took over.', [` ${this.lost}`]);
    return `${lines.join('\n')}\n`;
  }
}
