/**
 * Wayward as a library. Each job of the command line is a call: {@link record} or {@link importRecordings},
 * {@link learn}, {@link judge}, {@link report}, and to look into a recording {@link inspect} and {@link decode}. All take
 * {@link CallOptions}, and say what they cannot do with a {@link UserError}.
 *
 * The other commands take all their options and a {@link RunContext}.
 *
 * @module
 */
export type { CallOptions, Message } from './api/call.ts';
export {
  type ImportSettings,
  importRecordings,
  type RecordSettings,
  record,
} from './api/capture.ts';
export { type JudgeOptions, judge, judgeAll } from './api/judge.ts';
export { type LearnSettings, learn } from './api/learn.ts';
export { decode, type InspectSettings, inspect, type LookOptions } from './api/look.ts';
export { type ReportResult, type ReportSettings, report } from './api/report.ts';
export { type ErrorCategory, UserError, type UserErrorFacts } from './base/errors.ts';
export type { Label as SampleLabel, LabelWord } from './base/label.ts';
export type { Logger, LogLevel, Progress, ProgressSink, Step } from './base/log.ts';
export type { ImportedThread, PerfImported } from './capture/perf/import.ts';
export type { MissingImage } from './capture/perf/map.ts';
export type { PerfLosses } from './capture/perf/records/records.ts';
export type { BackendChoice, BackendName } from './capture/qemu/backend.ts';
export type { End } from './capture/qemu/emulator.ts';
export type { Recorded } from './capture/record.ts';
export {
  type InputResult,
  type RecordInputsOptions,
  recordInputs,
} from './capture/record-inputs.ts';
export {
  type AcceptedSample,
  type AcceptRequest,
  type AcceptResult,
  accept,
  type ProfileState,
} from './commands/accept.ts';
export type { TraceBlock, TraceLine, TraceMark } from './commands/blocks.ts';
export { type ClassifyOptions, type ClassifyResult, classify } from './commands/classify.ts';
export { type ClusterRequest, type ClusterResult, cluster } from './commands/cluster.ts';
export { examineMachine, type Finding } from './commands/doctor.ts';
export {
  type ExportFormat,
  type ExportOptions,
  type ExportResult,
  exportFormats,
  exportSample,
} from './commands/export.ts';
export type { GuardEvent, OnAlarm, ProcessVerdict } from './commands/guard/events.ts';
export type { GuardCounters } from './commands/guard/guard-metrics.ts';
export type { EndedProcess } from './commands/guard/guarded-processes.ts';
export type { AlarmReport, PlaceName } from './commands/guard/live/alarm.ts';
export type { Inexact } from './commands/guard/live/outcome.ts';
export {
  type FollowedRequest,
  type Guarding,
  type GuardRequest,
  type GuardResult,
  guard,
  guardFollow,
  guardPerfPipe,
} from './commands/guard.ts';
export type { ImportResult } from './commands/import.ts';
export type { HotBlock, TraceReport } from './commands/inspect.ts';
export type { JudgedSample, JudgeResult } from './commands/judge.ts';
export type { UnlikeSample } from './commands/judging/training-look.ts';
export type { LearnResult } from './commands/learn.ts';
export { type NoveltyOptions, type NoveltyResult, novelty } from './commands/novelty.ts';
export { type PreprocessOptions, preprocess } from './commands/preprocess.ts';
export type { RunFolder } from './commands/run/folder.ts';
export type { RunPath } from './commands/run/path.ts';
export type { KnownPlace, PassedPlace } from './commands/samples/evaluating/known-places.ts';
export type { PreprocessedSample, StoredFormat } from './commands/samples/preprocess.ts';
export type { ChosenSets, Duplicate, SetSizes } from './commands/samples/sets/choose-sets.ts';
export type { SkippedSample } from './commands/samples/skipped.ts';
export type { SampleSource } from './commands/samples/source.ts';
export { type CheckedSets, checkSets, type MadeSets, makeSets } from './commands/sets.ts';
export type { FoundNeighbours, NamedSlice } from './commands/slices/compare.ts';
export type { SliceRecipe } from './commands/slices/samples.ts';
export { type StatsOptions, type StatsResult, stats } from './commands/stats.ts';
export type { LearnRequest } from './commands/training/options.ts';
export type { TrainingSummary } from './commands/training/train.ts';
export type {
  Evaluation,
  HistoryRecord,
  NotedPlaces,
  PlaceList,
  PredictionTable,
  SampleIdentity,
  SourceTable,
  TraceFacts,
} from './evaluation/evaluation.ts';
export type { Evidence, EvidenceKind } from './evidence/evidence.ts';
export type { TraceSummary } from './flow/blocks.ts';
export type { AsyncTransfer, Gap, GapReason, Mark, ThreadSwitch } from './flow/mark.ts';
export type { Merge } from './likeness/clusters/agglomerate.ts';
export type {
  Cluster,
  Clustering,
  ClusterMethod,
  ClusterOptions,
  SharedTerm,
} from './likeness/clusters/clusters.ts';
export type { DistanceMatrix } from './likeness/clusters/distances.ts';
export type { FamilyScores } from './likeness/clusters/family-scores.ts';
export type { SampleSlices, SliceTerms } from './likeness/slices/slice-record.ts';
export type { TermCounts, TermNames, TermPart, termParts } from './likeness/slices/slice-terms.ts';
export type { Terms } from './likeness/slices/sparse-vector.ts';
export type { StoreOptions } from './likeness/store/open-store.ts';
export type { RedisStoreOptions } from './likeness/store/redis-store.ts';
export type { Collection } from './likeness/store/sample-store.ts';
export type { FitScore, RunContext } from './model/first-layer.ts';
export type { OptimizerKind } from './model/lstm/optimizer.ts';
export type { EpochReport } from './model/lstm/train.ts';
export type { NameSourceOptions } from './names/name-sources.ts';
export type { NoveltyPoint } from './report/charts/novelty-chart.ts';
export type {
  ClusterData,
  ClusterPicture,
  ClusterSlice,
  ClusterSummary,
  NeighbourRow,
} from './report/data/cluster-data.ts';
export type { Label, Role } from './report/data/label.ts';
export type {
  DecisionLine,
  EvidenceKind as ReportEvidenceKind,
  Fact,
  FeatureValue,
  Figure,
  FigureData,
  ListingLine,
  PlaceOccurrence,
  ReportComparison,
  ReportData,
  ReportEvidence,
  ReportParting,
  ReportPatch,
  ReportRow,
  ReportTransfer,
  RocCurve,
  RocPoint,
  SkippedSample as SkippedTrace,
  Timeline,
  TimelineEvent,
  TimelineLane,
  TraceDetail,
  VerdictRule,
} from './report/data/report-data.ts';
export type { FlaggedStretch, Stretch } from './report/export/call-timeline.ts';
export type { Unit } from './report/words/unit.ts';
export type { LineFormatName } from './sequences/calls/line-format.ts';
export type { CallLog, CallLogFormat } from './sequences/calls/log.ts';
export { type CallLogOptions, readCallLog } from './sequences/calls/read-calls.ts';
export type { TargetDistribution } from './sequences/target-statistics.ts';
export type { Sets } from './trace/sets-file.ts';
export type { Novelty } from './verdict/left-out.ts';
export type { TransferName } from './x86/transfer.ts';
