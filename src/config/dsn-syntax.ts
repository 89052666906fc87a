/** From the text of a DSN to its parameters, in the two forms that libpq reads (manual, "Connection Strings"). */
import type { Mistake } from './problem.ts';

export interface Parameter {
  readonly name: string;
  readonly value: string;
}

/** The last value of each parameter. An empty value is the same as none, as in libpq. */
export type Given = ReadonlyMap<string, string>;

export type Syntax =
  | {
      readonly kind: 'parameters';
      readonly form: 'uri' | 'key=value';
      /** What stands before a URI's `?`. A password in it has ended where the host begins. */
      readonly authority: readonly Parameter[];
      /** A URI's query, or all of key=value; the last of a name wins, over `authority` too. */
      readonly parameters: readonly Parameter[];
      /** Whether a name that libpq does not know may be shown, or may be a part of a password that was not encoded. */
      readonly unknownNames: 'shown' | 'hidden';
    }
  | ({ readonly kind: 'malformed' } & Mistake);

const schemes = /^postgres(?:ql)?:\/\//;

export const encodeHint =
  'In a URI, percent-encode what would end a part of it: % as %25, @ as %40, / as %2F, : as %3A, ? as %3F, & as %26, = as %3D. Quote the whole value in a .env file.';

const quoteHint =
  "In key=value, put a value with spaces, quotes or backslashes in single quotes, with \\' and \\\\ inside.";

const formsHint = 'Write postgresql://user:password@host:port/database, or host=… port=… dbname=… user=… password=….';

const commaHint = 'A DSN after a comma begins with postgresql:// or with a parameter and =.';

function malformed(message: string, hint: string): Syntax {
  return { kind: 'malformed', message, hint };
}

export function hasScheme(text: string): boolean {
  return schemes.test(text);
}

/** `text` without space around it. Nothing of it comes back in a message. */
export function parseSyntax(text: string): Syntax {
  if (text === '') return malformed('is empty', 'A comma too many, or a variable that was not set?');
  return hasScheme(text) ? parseUri(text.replace(schemes, '')) : parseKeyValue(text);
}

/** A part of a URI that a message can name. */
class UriError extends Error {
  readonly hint: string;
  constructor(message: string, hint: string = encodeHint) {
    super(message);
    this.hint = hint;
  }
}

function parseUri(rest: string): Syntax {
  try {
    const end = rest.search(/[@/]/);
    const userinfo = end >= 0 && rest[end] === '@' ? rest.slice(0, end) : undefined;
    const location = userinfo === undefined ? rest : rest.slice(end + 1);
    const [, place = '', query = ''] = /^([^?]*)(?:\?([^]*))?$/.exec(location) ?? [];
    if (place.includes('@')) throw new UriError('has an @ that is not where a user name and password end');
    const authority = [...parseUserinfo(userinfo), ...parsePlace(place)];
    // An @ in the query may end the user name and password, and a port that is no number may begin the password.
    const isSuspect =
      query.includes('@') || authority.some(({ name, value }) => name === 'port' && !/^\d+$/.test(value));
    const parameters = parseQuery(query);
    return { kind: 'parameters', form: 'uri', authority, parameters, unknownNames: isSuspect ? 'hidden' : 'shown' };
  } catch (error) {
    if (error instanceof UriError) return malformed(error.message, error.hint);
    throw error;
  }
}

function parseUserinfo(userinfo: string | undefined): Parameter[] {
  if (userinfo === undefined) return [];
  const colon = userinfo.indexOf(':');
  const user = colon < 0 ? userinfo : userinfo.slice(0, colon);
  const password = colon < 0 ? '' : userinfo.slice(colon + 1);
  return present([
    { name: 'user', value: decode(user, 'the user name') },
    { name: 'password', value: decode(password, 'the password') },
  ]);
}

/** `host:port/database`, each part of which may be missing. */
function parsePlace(place: string): Parameter[] {
  const slash = place.indexOf('/');
  const authority = slash < 0 ? place : place.slice(0, slash);
  const database = slash < 0 ? '' : place.slice(slash + 1);
  if (authority.includes(','))
    throw new UriError('names several hosts', 'A DSN names one server; separate DSNs by commas.');
  if (database.includes(',')) {
    throw new UriError('has a comma in its database name', `${commaHint} In such a name write %2C.`);
  }
  const { host, port } = parseAuthority(authority);
  return present([
    { name: 'host', value: host },
    { name: 'port', value: decode(port, 'the port') },
    { name: 'dbname', value: decode(database, 'the database name') },
  ]);
}

function parseAuthority(authority: string): { host: string; port: string } {
  if (authority.startsWith('[')) {
    const close = authority.indexOf(']');
    if (close < 0) throw new UriError('has no ] after the IPv6 address of its host');
    if (close === 1) throw new UriError('IPv6 host address may not be empty in URI');
    const after = authority.slice(close + 1);
    if (after !== '' && !after.startsWith(':')) throw new UriError('has something other than a port after ]');
    return { host: decode(authority.slice(1, close), 'the host'), port: after.slice(1) };
  }
  const colon = authority.indexOf(':');
  if (colon < 0) return { host: decode(authority, 'the host'), port: '' };
  return { host: decode(authority.slice(0, colon), 'the host'), port: authority.slice(colon + 1) };
}

function parseQuery(query: string): Parameter[] {
  const pairs = query.split('&');
  if (pairs.at(-1) === '') pairs.pop();
  return pairs.map((pair, index) => {
    const part = `URI query parameter ${index + 1}`;
    const [name = '', value, ...others] = pair.split('=');
    if (value === undefined) throw new UriError(`missing key/value separator "=" in ${part}`);
    if (others.length > 0) throw new UriError(`extra key/value separator "=" in ${part}`);
    const parameter = { name: decode(name, `the name of ${part}`), value: decode(value, `the value of ${part}`) };
    // JDBC's spelling, which libpq understands too.
    return parameter.name === 'ssl' && parameter.value === 'true' ? { name: 'sslmode', value: 'require' } : parameter;
  });
}

function present(parameters: readonly Parameter[]): Parameter[] {
  return parameters.filter(({ value }) => value !== '');
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(text: string, part: string): string {
  if (!text.includes('%')) return text;
  if (/%(?![0-9a-f]{2})/i.test(text)) throw new UriError(`invalid percent-encoded token in ${part}`);
  if (text.includes('%00')) throw new UriError(`forbidden value %00 in ${part}`);
  const bytes = text.split(/(%[0-9a-f]{2})/i).map((piece, index) => {
    return index % 2 === 1 ? Buffer.from(piece.slice(1), 'hex') : Buffer.from(piece, 'utf8');
  });
  try {
    return utf8.decode(Buffer.concat(bytes));
  } catch (error) {
    if (error instanceof TypeError) throw new UriError(`the bytes that are percent-encoded in ${part} are not UTF-8`);
    throw error;
  }
}

function parseKeyValue(text: string): Syntax {
  const parameters: Parameter[] = [];
  let rest = text;
  while (rest !== '') {
    const name = /^([^=\s]*)\s*=\s*/.exec(rest);
    if (parameters.length === 0 && (name === null || name[1]?.includes('://') === true)) {
      return malformed('is neither a URI nor key=value', formsHint);
    }
    if (name === null) return malformed(`missing "=" after option ${parameters.length + 1}`, quoteHint);
    rest = rest.slice(name[0].length);
    const value = /^'((?:[^'\\]|\\[^])*)'\s*/.exec(rest) ?? /^(?!')((?:[^\s\\]|\\[^]|\\$)*)\s*/.exec(rest);
    if (value === null) return malformed('unterminated quoted string in connection info string', quoteHint);
    if (name[1] === 'dbname' && !rest.startsWith("'") && value[0].includes(',')) {
      return malformed('has a comma in its database name', `${commaHint} Put such a name in single quotes.`);
    }
    rest = rest.slice(value[0].length);
    parameters.push({ name: name[1] ?? '', value: (value[1] ?? '').replace(/\\([^]|$)/g, '$1') });
  }
  const unknownNames = text.includes('://') ? 'hidden' : 'shown';
  return { kind: 'parameters', form: 'key=value', authority: [], parameters, unknownNames };
}
