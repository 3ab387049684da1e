/**
 * The public API: each command as a library call, and the layers under them.
 *
 * @module
 */
export { UserError } from './base/errors.ts';
export type { Logger, Progress, ProgressSink } from './base/log.ts';
export { type Recorded, type RecordOptions, record } from './capture/record.ts';
export { recordInputs } from './capture/record-inputs.ts';
export type { BlockBatch, BlockSource, BlockTable, TraceSummary } from './flow/blocks.ts';
export { CodeCache } from './flow/code-cache.ts';
export { Fingerprint } from './flow/fingerprint.ts';
export type { AsyncTransfer, Gap, Mark } from './flow/mark.ts';
export { TraceDecoder } from './flow/trace-decoder.ts';
export { ImageStore } from './image/image-store.ts';
export { buildAddressSpace } from './image/mapped-space.ts';
export { readMemoryMap } from './image/memory-map.ts';
export type { FirstLayer, FitScore, RunContext } from './model/first-layer.ts';
export { type ClassifyOptions, type ClassifyResult, classify } from './pipeline/classify.ts';
export {
  type ClusterRequest,
  type ClusterResult,
  cluster,
} from './pipeline/cluster.ts';
export { clusterDataOf } from './pipeline/cluster-data.ts';
export type { CompareOptions, Comparison, NamedSlice } from './pipeline/compare-slices.ts';
export { type DemoOptions, type DemoResult, demo } from './pipeline/demo.ts';
export { examineMachine, type Finding } from './pipeline/doctor.ts';
export { type ImportOptions, type ImportResult, importRecordings } from './pipeline/import.ts';
export { type InspectOptions, inspect, listBlocks, listPackets } from './pipeline/inspect.ts';
export { type LearnResult, learn } from './pipeline/learn.ts';
export type { LearnOptions } from './pipeline/learn-options.ts';
export { type NoveltyOptions, type NoveltyResult, novelty } from './pipeline/novelty.ts';
export { preprocess } from './pipeline/preprocess.ts';
export { type ReportOptions, report } from './pipeline/report.ts';
export { checkSets, makeSets } from './pipeline/sets.ts';
export type { SliceRecipe } from './pipeline/slice-samples.ts';
export { type StatsOptions, type StatsResult, stats } from './pipeline/stats.ts';
export { renderClusterReport } from './report/cluster-page.ts';
export type { CallLog, CallLogFormat } from './sequences/call-log.ts';
export { findCallSamples, readCallSample } from './sequences/call-samples.ts';
export { CallSource } from './sequences/call-source.ts';
export { type CallLogOptions, readCallLog } from './sequences/read-calls.ts';
export { openTraces } from './trace/open-trace.ts';
export { findSamples, readSample, type Sample } from './trace/sample.ts';
