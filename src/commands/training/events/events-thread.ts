import type { Sample } from '../../../trace/sample.ts';
import { serveJobs } from '../../../workers/ordered-threads.ts';
import { EventsReader, type EventsSetup, type SampleEvents } from './events-reader.ts';

let reader: EventsReader | undefined;

serveJobs<EventsSetup, Sample, SampleEvents>((setup, sample) => {
  reader ??= new EventsReader(setup);
  return reader.read(sample);
});
