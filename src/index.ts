/**
 * The public API: each command as a library call, and the layers under them.
 *
 * @module
 */
export { UserError } from './base/errors.ts';
export type { Logger, Progress, ProgressSink } from './base/log.ts';
export { type Recorded, type RecordOptions, record } from './capture/record.ts';
export { recordInputs } from './capture/record-inputs.ts';
export {
  type AcceptedSample,
  type AcceptRequest,
  type AcceptResult,
  accept,
  type ProfileState,
} from './commands/accept.ts';
export { type ClassifyOptions, type ClassifyResult, classify } from './commands/classify.ts';
export {
  type ClusterRequest,
  type ClusterResult,
  cluster,
} from './commands/cluster.ts';
export { type DemoOptions, type DemoResult, demo } from './commands/demo.ts';
export { examineMachine, type Finding } from './commands/doctor.ts';
export {
  type ExportFormat,
  type ExportOptions,
  type ExportResult,
  exportFormats,
  exportSample,
} from './commands/export.ts';
export { type ImportOptions, type ImportResult, importRecordings } from './commands/import.ts';
export { type InspectOptions, inspect, listBlocks, listPackets } from './commands/inspect.ts';
export { type JudgedSample, type JudgeRequest, type JudgeResult, judge } from './commands/judge.ts';
export { type LearnResult, learn } from './commands/learn.ts';
export { type NoveltyOptions, type NoveltyResult, novelty } from './commands/novelty.ts';
export { preprocess } from './commands/preprocess.ts';
export { type ReportOptions, report } from './commands/report.ts';
export { checkSets, makeSets } from './commands/sets.ts';
export { clusterDataOf } from './commands/slices/cluster-data.ts';
export type { CompareOptions, Comparison, NamedSlice } from './commands/slices/compare.ts';
export type { SliceRecipe } from './commands/slices/samples.ts';
export { type StatsOptions, type StatsResult, stats } from './commands/stats.ts';
export type { LearnOptions, LearnRequest } from './commands/training/options.ts';
export type { BlockBatch, BlockSource, BlockTable, TraceSummary } from './flow/blocks.ts';
export { CodeCache } from './flow/code-cache.ts';
export { Fingerprint } from './flow/fingerprint.ts';
export type { AsyncTransfer, Gap, Mark } from './flow/mark.ts';
export { TraceDecoder } from './flow/trace-decoder.ts';
export { ImageStore } from './image/image-store.ts';
export { buildAddressSpace } from './image/mapped-space.ts';
export { readMemoryMap } from './image/memory-map.ts';
export type { FirstLayer, FitScore, RunContext } from './model/first-layer.ts';
export { renderClusterReport } from './report/page/clusters.ts';
export type { CallLog, CallLogFormat } from './sequences/calls/log.ts';
export { type CallLogOptions, readCallLog } from './sequences/calls/read-calls.ts';
export { findCallSamples, readCallSample } from './sequences/calls/samples.ts';
export { CallSource } from './sequences/calls/source.ts';
export { openTraces } from './trace/open-trace.ts';
export { findSamples, readSample, type Sample } from './trace/sample.ts';
