import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, UserError } from '../../base/errors.ts';
import { writeFileAtomic } from '../../base/files/write.ts';
import { choice, decimal, integer, text } from '../../base/options/option.ts';
import { version } from '../../base/version.ts';
import { type ClusterRequest, cluster } from '../../commands/cluster.ts';
import { findEvaluations } from '../../commands/run/path.ts';
import { outputFile } from '../../commands/samples/output-file.ts';
import { clusterDataOf } from '../../commands/slices/cluster-data.ts';
import { type ClusterMethod, clusterMethods } from '../../likeness/clusters/clusters.ts';
import {
  type VectorKind,
  vectorKindNames,
  type Weighting,
  weightings,
} from '../../likeness/slices/vector-kinds.ts';
import { renderClusterReport } from '../../report/page/clusters.ts';
import { clusterLines, clustersToJson } from '../../report/text/cluster-text.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';

interface Options {
  readonly json: boolean;
  readonly train: readonly string[] | undefined;
  readonly query: readonly string[] | undefined;
  readonly add: readonly string[] | undefined;
  readonly remove: readonly string[] | undefined;
  readonly k: number;
  readonly traces: ClusterRequest['traces'];
  readonly binDir: readonly string[] | undefined;
  readonly slices: 'patches' | 'correctness' | undefined;
  readonly window: number | undefined;
  readonly threshold: number | undefined;
  readonly perTrace: number;
  readonly leastShare: number;
  readonly around: number;
  readonly vector: VectorKind | undefined;
  readonly weighting: Weighting | undefined;
  readonly maxVal: number | undefined;
  readonly method: ClusterMethod | undefined;
  readonly radius: number | undefined;
  readonly least: number | undefined;
  readonly mostClustered: number;
  readonly out: string | undefined;
  readonly store: string | undefined;
  readonly redis: boolean;
  readonly hostname: string;
  readonly port: number;
  readonly db: number;
  readonly tlsCa: string | undefined;
  readonly patience: number;
}

/** With the runs of the arguments among those of `--train`. */
type Request = Options & { readonly train: readonly string[] };

const spec: CommandSpec<Options> = {
  args: [['[run...]', 'known anomalies, as --train']],
  usual: [
    ...['query', 'k', 'traces', 'bin-dir', 'vector', 'method', 'radius', 'least', 'add', 'remove'],
    ...['store', 'out'],
  ],
  ancestor: {
    knn: {
      script: 'knn.py',
      letters: { t: 'train', r: 'redis', p: 'port', d: 'db' },
      words: { 'train-dir': 'train', 'query-dir': 'query', 'use-redis': 'redis' },
      moot: {
        blacklist: {
          takesValue: true,
          letter: 'b',
          advice: 'leave samples out by moving their evaluations elsewhere',
        },
      },
    },
  },
  options: [
    {
      flags: '--train <run>',
      help: "known anomalies: a run's folder, or a folder of evaluations; may be given again",
      parse: text,
      repeats: true,
    },
    {
      flags: '-q, --query <run>',
      help: 'anomalies to look up among them; may be given again',
      parse: text,
      repeats: true,
    },
    {
      flags: '--add <run>',
      help: 'put into the store only; may be given again',
      parse: text,
      repeats: true,
    },
    {
      flags: '--remove <sample>',
      help: 'take out of the store; may be given again',
      parse: text,
      repeats: true,
    },
    { flags: '-k, --k <n>', help: 'neighbours of each slice', parse: integer(1, 1000), default: 1 },
    {
      flags: '--traces <kind>',
      help: 'anomalous: labelled so; flagged: by "classify", whatever the label; all',
      parse: choice('anomalous', 'flagged', 'all'),
      default: 'anomalous',
    },
    {
      flags: '--bin-dir <dir>',
      help: "folder of executables and libraries [the run's]; may be given again",
      parse: text,
      repeats: true,
    },
    {
      flags: '--vector <kind>',
      help: `what slices are compared by: ${vectorKindNames.join(', ')} [behaviour; with -m: classes, as the ancestor]`,
      parse: choice(...vectorKindNames),
    },
    {
      flags: '--weighting <kind>',
      help: `${weightings.join(', ')} [behaviour, classes: presence; else tfidf]`,
      parse: choice(...weightings),
    },
    {
      flags: '-m, --max-val <n>',
      help: 'classes: leave out output classes from here on (the ancestor: 1024)',
      parse: integer(1, 2 ** 31 - 1),
    },
    {
      flags: '--slices <kind>',
      help: 'patches, or correctness as the ancestor [patches]',
      parse: choice('patches', 'correctness'),
    },
    {
      flags: '--window <n>',
      help: 'correctness: predictions that it is averaged over [10000]',
      parse: integer(1),
    },
    {
      flags: '--threshold <share>',
      help: 'correctness: right predictions below which a window is in the slice [0.1]',
      parse: decimal(0, 1),
    },
    {
      flags: '--per-trace <n>',
      help: 'patches: slices of a trace at most',
      parse: integer(1, 1000),
      default: 4,
    },
    {
      flags: '--least-share <share>',
      help: "patches: leave out those with less than this share of the worst one's points",
      parse: decimal(0, 1),
      default: 0.1,
    },
    {
      flags: '--around <n>',
      help: 'blocks before and after a slice that count as well',
      parse: integer(0, 100_000),
      default: 0,
    },
    {
      flags: '--method <kind>',
      help: 'nearest: linked by nearest neighbours; dbscan; or average: average linkage, cut where the silhouette is largest [nearest; dbscan with --radius or --least]',
      parse: choice(...clusterMethods),
    },
    {
      flags: '--radius <distance>',
      help: 'dbscan: neighbours are at most this far apart [knee of the distances]',
      parse: decimal(0, 1),
    },
    {
      flags: '--least <n>',
      help: 'dbscan: neighbours, with itself, that make a slice the core of a cluster [3]',
      parse: integer(1, 1000),
    },
    {
      flags: '--most-clustered <n>',
      help: 'make no clusters of more slices than this',
      parse: integer(3, 20_000),
      default: 4000,
    },
    {
      flags: '-o, --out <file>',
      synonyms: ['output'],
      help: 'the page: map, heat map, clusters, neighbours [clusters.html in the first run]',
      parse: outputFile,
    },
    {
      flags: '--store <place>',
      help: 'file, redis:// or rediss:// that keeps slices [slices.wayward in the first run, made anew]',
      parse: text,
    },
    { flags: '--redis', help: 'keep slices in Redis, as the ancestor' },
    { flags: '--hostname <host>', help: '--redis: its host', parse: text, default: 'localhost' },
    { flags: '--port <n>', help: '--redis: its port', parse: integer(1, 65535), default: 6379 },
    { flags: '--db <n>', help: '--redis: its database', parse: integer(0, 1_000_000), default: 0 },
    {
      flags: '--tls-ca <file>',
      help: "rediss: certificates of authorities (PEM) [the system's]",
      parse: text,
    },
    {
      flags: '--patience <seconds>',
      help: 'how long to wait for a server that has gone away, or for another writer',
      parse: decimal(0),
      default: 30,
    },
  ],
  examples: [
    ['wayward cluster runs/RUN', 'which of its anomalies are alike'],
    ['wayward cluster runs/KNOWN -q runs/NEW -k 3', 'what do the new ones resemble?'],
    [
      'wayward cluster --add runs/RUN --store redis://localhost:6379/0',
      'keeps its slices in Redis',
    ],
    [
      'wayward cluster -q runs/NEW --store redis://localhost:6379/0 --traces flagged',
      'looks up what classify flagged in what is kept there',
    ],
    ['wayward cluster runs/RUN -m 1024 --slices correctness', 'as the ancestor did it'],
  ],
  run: async ({ args, options: given, terminal, signal, print, printText }) => {
    const o = { ...given, train: [...args, ...(given.train ?? [])] };
    const result = await cluster(await requestOf(o), {
      log: terminal,
      progress: terminal.progress,
      signal,
    });
    const data = clusterDataOf(result, version);
    const page = o.out ?? (await pageOf(o.train[0]));
    if (page !== undefined) await writeFileAtomic(page, renderClusterReport(data));
    if (o.json) printText(clustersToJson(data));
    else for (const line of clusterLines(data)) print(line);
    if (page !== undefined && !o.json) print(`The page: ${page}`);
    return 0;
  },
};

/** Beside the evaluations that are compared; `undefined` when all come from a store. */
async function pageOf(train: string | undefined): Promise<string | undefined> {
  if (train === undefined) return undefined;
  const { run, evaluation } = await findEvaluations(train);
  return join(run ?? evaluation, 'clusters.html');
}

async function requestOf(o: Request): Promise<ClusterRequest> {
  const problems: string[] = [];
  const kind =
    o.slices ?? (o.window !== undefined || o.threshold !== undefined ? 'correctness' : 'patches');
  if (kind === 'patches' && (o.window !== undefined || o.threshold !== undefined)) {
    problems.push('--window and --threshold belong to --slices correctness');
  }
  if (o.redis && o.store !== undefined) problems.push('--redis and --store both name a store');
  const vector = o.vector ?? (o.maxVal === undefined ? 'behaviour' : 'classes');
  if (o.maxVal !== undefined && vector !== 'classes') {
    problems.push('--max-val belongs to --vector classes');
  }
  const store = o.redis ? `redis://${hostOf(o.hostname)}:${o.port}/${o.db}` : o.store;
  if ((o.add ?? o.remove) !== undefined && store === undefined) {
    problems.push('--add and --remove need a store: --store or --redis');
  }
  if (problems.length > 0) {
    throw new UserError('bad-options', problems.join('\n'), { category: 'arguments' });
  }
  return {
    train: o.train,
    query: o.query ?? [],
    add: o.add ?? [],
    remove: o.remove ?? [],
    store,
    redis: {
      patience: 1000 * o.patience,
      ...(o.tlsCa === undefined ? {} : { authorities: await readAuthorities(o.tlsCa) }),
    },
    recipe: {
      slices:
        kind === 'patches'
          ? { kind, most: o.perTrace, leastShare: o.leastShare }
          : { kind, window: o.window ?? 10_000, threshold: o.threshold ?? 0.1 },
      vector,
      around: o.around,
      mostClasses: o.maxVal,
    },
    weighting: o.weighting,
    traces: o.traces,
    binDirs: o.binDir ?? [],
    k: o.k,
    clusters: clustersOf(o),
    mostClustered: o.mostClustered,
  };
}

/** What only DBSCAN takes asks for DBSCAN. */
function clustersOf({ method, radius, least }: Options): ClusterRequest['clusters'] {
  const isDense = radius !== undefined || least !== undefined;
  return { method: method ?? (isDense ? 'dbscan' : 'nearest'), radius, least: least ?? 3 };
}

/** IPv6 addresses stand in brackets in a URL. */
function hostOf(hostname: string): string {
  return hostname.includes(':') && !hostname.startsWith('[') ? `[${hostname}]` : hostname;
}

async function readAuthorities(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new UserError('not-readable', `cannot be read: ${messageOf(cause)}`, {
      category: 'arguments',
      path,
      cause,
    });
  }
}

export const clusterCommand: Command = defineCommand(spec);
