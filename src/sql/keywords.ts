/** Words after which the normaliser has to treat constants in their own way. */

export type WordMeaning =
  /** First word of a statement. */
  | 'set'
  | 'explain'
  | 'reindex'
  | 'create, alter or drop'
  /** Second word of CREATE, ALTER, DROP. */
  | 'subscription'
  /** nextval, setval, lo_create, current_setting, set_config: their first argument names a sequence, a large object or a setting. */
  | 'call by name'
  /** What stands in parentheses behind it is part of a type: `float(24)`, `CURRENT_TIMESTAMP(3)`. */
  | 'precision'
  /** VALUES: rows in parentheses follow. */
  | 'values'
  /** IN, ARRAY: a list in parentheses or brackets follows. */
  | 'list'
  /** UESCAPE: the next string is a character. */
  | 'uescape'
  /** Has no effect by itself: rows of these and of constants are alike. */
  | 'constant';

const vocabulary: Readonly<Record<string, WordMeaning>> = {
  set: 'set',
  explain: 'explain',
  reindex: 'reindex',
  create: 'create, alter or drop',
  alter: 'create, alter or drop',
  drop: 'create, alter or drop',
  subscription: 'subscription',
  nextval: 'call by name',
  setval: 'call by name',
  current_setting: 'call by name',
  set_config: 'call by name',
  lo_create: 'call by name',
  lo_from_bytea: 'call by name',
  float: 'precision',
  current_time: 'precision',
  current_timestamp: 'precision',
  localtime: 'precision',
  localtimestamp: 'precision',
  values: 'values',
  in: 'list',
  array: 'list',
  uescape: 'uescape',
  null: 'constant',
  default: 'constant',
  true: 'constant',
  false: 'constant',
};

interface Entry {
  readonly bytes: Uint8Array;
  readonly meaning: WordMeaning;
}

const byLength: Entry[][] = [];
for (const [word, meaning] of Object.entries(vocabulary)) {
  for (let length = byLength.length; length <= word.length; length++) byLength.push([]);
  byLength[word.length]?.push({ bytes: Buffer.from(word), meaning });
}

/** Meaning of the word in `text[start..end)`, in any case; undefined for most. */
export function wordMeaning(text: Uint8Array, start: number, end: number): WordMeaning | undefined {
  const entries = byLength[end - start];
  if (entries === undefined) return undefined;
  const first = (text[start] ?? 0) | 0x20;
  for (const { bytes, meaning } of entries) {
    if (bytes[0] !== first) continue;
    let at = 1;
    while (at < bytes.length && lowerCase(text[start + at] ?? 0) === bytes[at]) at++;
    if (at === bytes.length) return meaning;
  }
  return undefined;
}

function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

/** Settings whose value decides what a transaction may do: `transaction_read_only`, `default_transaction_isolation`. */
export function namesTransactionSetting(text: Buffer, start: number, end: number): boolean {
  return end - start >= 20 && /^(default_)?transaction_/i.test(text.toString('latin1', start, end));
}
