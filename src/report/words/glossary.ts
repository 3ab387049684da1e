import { escapeMarkup } from './escape.ts';
import { evidenceNames, evidenceOrder } from './evidence-names.ts';
import type { Unit } from './unit.ts';

const terms: readonly (readonly [string, string])[] = [
  ['Trace', 'A recording of which code one run of the program executed, block by block.'],
  [
    'Block',
    'A straight piece of code: it is entered at its start and left at its last instruction, a jump, call or return. Positions in a trace are counted in blocks from 0.',
  ],
  [
    'Verdict',
    'Anomalous: the run strayed from what the nominal traces do by more than the accepted rate of false alarms allows. Nominal: it did not. It does not say that a run was an attack: a crash, a rare feature or a new version strays as well.',
  ],
  [
    'p-value',
    'If this trace were nominal, how often would one look at least this unusual? 0.01 means: one nominal trace in a hundred. It can never be smaller than one divided by the number of calibration traces plus one, nor than the chance that the model itself gives the most surprising place.',
  ],
  [
    'Score',
    'The number that traces are ranked by; larger is more suspicious. Its scale means nothing by itself, only beside the threshold and the scores of nominal traces.',
  ],
  [
    'Misprediction rate',
    'The model learned from nominal runs and predicts where each return and each indirect call or jump goes. This is the share it predicted wrongly. Over a whole trace it hides short anomalies: ten wrong steps in a million do not move it.',
  ],
  [
    'Confidence of wrong predictions',
    'How sure the model was, on average, when it was wrong. Sure and wrong is more suspicious than unsure and wrong.',
  ],
  ['Unknown blocks', 'Executed code that no training trace executed.'],
  [
    'Patch',
    'A stretch in which predictions fail, unknown code runs or evidence lies close together. Patches are ranked; read the first one first.',
  ],
  [
    'Calibration',
    'Nominal traces that did not train the model and tell how unusual a nominal trace can look. Thresholds come from them.',
  ],
  [
    'Held-out, cross-validated, fitted',
    'Held-out figures come from traces that neither trained the model nor set a threshold: believe these. Cross-validated ones come from turns in which each trace is left out once. Figures on fitted data flatter: the classifier has seen these traces.',
  ],
  [
    'Interval',
    'A figure from few traces is uncertain. The interval holds the true rate in 95 of 100 such measurements.',
  ],
  [
    'AUC',
    'Area under the ROC curve: the chance that an anomalous trace scores above a nominal one. 1 is perfect, 0.5 is guessing.',
  ],
];

/** What stands for some of the terms where traces are logs of calls. */
const ofCalls: ReadonlyMap<string, readonly [string, string]> = new Map([
  ['Trace', ['Trace', 'A log of the calls that one run of the program made, thread after thread.']],
  [
    'Block',
    [
      'Call',
      'A system call, or a call of a function of an API that a sandbox watched. Positions in a trace are counted in calls from 0.',
    ],
  ],
  [
    'Misprediction rate',
    [
      'Misprediction rate',
      'The model learned from nominal runs and predicts the next call from the last ones. This is the share it predicted wrongly. Over a whole trace it hides short anomalies: ten wrong steps in a million do not move it.',
    ],
  ],
  ['Unknown blocks', ['Unknown calls', 'Calls that no training trace made.']],
  [
    'Patch',
    [
      'Patch',
      'A stretch in which predictions fail or unknown calls lie close together. Patches are ranked; read the first one first.',
    ],
  ],
]);

export function renderReadingPage(unit: Unit = 'block'): string {
  const list = terms
    .map((entry) => (unit === 'call' ? (ofCalls.get(entry[0]) ?? entry) : entry))
    .map(([term, meaning]) => `<dt>${escapeMarkup(term)}</dt><dd>${escapeMarkup(meaning)}</dd>`)
    .join('');
  const evidence = evidenceOrder
    .map((kind) => {
      const { many, meaning } = evidenceNames[kind];
      return `<dt>${escapeMarkup(many[0].toUpperCase() + many.slice(1))}</dt><dd>${escapeMarkup(meaning)}</dd>`;
    })
    .join('');
  return `<section id="reading" class="page" aria-labelledby="reading-h"><h2 id="reading-h" tabindex="-1">How to read this report</h2>
<div class="columns"><div class="prose"><h3>In five steps</h3><ol>
<li>Look at the first rows of the table: they are the most suspicious traces. Compare the p-value with the accepted rate of false alarms above the table.</li>
<li>Open a flagged trace and read why it was flagged.${unit === 'call' ? '' : ' Evidence that the trace proves by itself, such as a return that did not go to its call, weighs more than a prediction that failed.'}</li>
<li>Look at the timeline. One narrow mark in a quiet trace is typical of a hijack; trouble all along is typical of an unusual input or another version of the program${unit === 'call' ? '' : ' or missing code'}.</li>
<li>Open the first patch: it names the ${unit === 'call' ? 'calls' : 'functions'}, what was expected and what came instead.</li>
<li>Before you rely on “nominal”, look at gaps and unknown ${unit === 'call' ? 'calls' : 'code'}: what was not recorded cannot be judged.</li>
</ol>${unit === 'call' ? '' : `<h3>Evidence</h3><dl>${evidence}</dl>`}</div><div class="prose"><h3>Words</h3><dl>${list}</dl></div></div></section>`;
}
