/** A guess from less than this is none, s. */
const shortest = 1;

/**
 * How long a step will take from here, told from how long its part that is done has taken.
 *
 * Parts differ, so it is said in words that promise no more than it knows: two digits of seconds, whole minutes, or
 * hours and tenths.
 *
 * @param seconds  since the step began
 * @param done  of `total`, in any unit
 * @returns `''` while nothing can be said
 */
export function timeLeft(seconds: number, done: number, total: number): string {
  if (seconds < shortest || done <= 0 || done >= total) return '';
  return `about ${inWords((seconds / done) * (total - done))} left`;
}

function inWords(seconds: number): string {
  if (seconds < 99.5) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 99.5 * 60) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
