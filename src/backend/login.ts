/**
 * Who a server session belongs to: it can be shared only by clients that would have started it in the same way. The
 * start-up parameters are part of it, so a client's application_name or options never reach another client.
 */
export interface Login {
  readonly user: string;
  readonly database: string;
  readonly password: string | undefined;
  /** As sent in the StartupMessage, `user` and `database` included. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Equal for logins that may share server sessions. */
  readonly key: string;
}

export function createLogin(
  user: string,
  database: string,
  password: string | undefined,
  extra: ReadonlyMap<string, string>,
): Login {
  const parameters = new Map<string, string>([
    ['user', user],
    ['database', database],
  ]);
  for (const [name, value] of extra) if (!parameters.has(name)) parameters.set(name, value);
  // Zero bytes cannot occur in a start-up parameter.
  const key = [...parameters]
    .map(([name, value]) => `${name}\0${value}`)
    .sort()
    .join('\0\0');
  return { user, database, password, parameters, key };
}
