/** What a trace is known or judged to be. */
export type Label = 'nominal' | 'anomalous';
/** What a trace served for. */
export type Role = 'training' | 'calibration' | 'test';
