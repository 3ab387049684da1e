import { UserError } from '../../base/errors.ts';

/** What a recorded program's environment is made from where nobody says anything: alike everywhere. */
export const standardEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  LC_ALL: 'C',
};

/** How QEMU is to be started so that the program gets its environment, and QEMU what is QEMU's. */
export interface GuestEnvironment {
  /** QEMU's own, which the program sees, too. */
  readonly env: Readonly<Record<string, string>>;
  readonly flags: readonly string[];
}

/**
 * Variables of the dynamic loader and of QEMU would change the emulator, which is a program itself: the
 * program alone gets them, through `-E`.
 *
 * @throws UserError `bad-variable` for one of those with a comma, at which QEMU would cut it
 */
export function guestEnvironment(variables: Readonly<Record<string, string>>): GuestEnvironment {
  const env: Record<string, string> = {};
  const flags: string[] = [];
  for (const [name, value] of Object.entries(variables)) {
    if (!/^(LD|QEMU)_/.test(name)) env[name] = value;
    else if (value.includes(',')) throw notAlone(name);
    else flags.push('-E', `${name}=${value}`);
  }
  return { env, flags };
}

function notAlone(name: string): UserError {
  return new UserError('bad-variable', `${name}: QEMU passes no value with a comma on`, {
    category: 'arguments',
  });
}
