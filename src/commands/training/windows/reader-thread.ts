import type { Sample } from '../../../trace/sample.ts';
import { serveJobs } from '../../../workers/ordered-threads.ts';
import { type ReaderSetup, type SampleEnd, type SamplePart, TrainingReader } from './reader.ts';

let reader: TrainingReader | undefined;

serveJobs<ReaderSetup, Sample, SamplePart | SampleEnd>((setup, sample, send) => {
  reader ??= new TrainingReader(setup);
  return reader.read(sample, send);
});
