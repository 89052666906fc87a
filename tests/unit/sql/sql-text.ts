/** Random SQL: valid statements as tokens, the spaces that may stand between them, and constants of every kind. */

import fc from 'fast-check';

const plainText = fc.string({
  unit: fc.constantFrom('a', 'B', ' ', '\n', '1', '%', '$', ';', '--', '/*', 'é', '日', '"', '()'),
  maxLength: 8,
});

const quoted = plainText.map((text) => `'${text.replaceAll("'", "''")}'`);
const withQuotes = plainText.map((text) => `'it''s ${text}'`);
const escaped = fc
  .array(fc.constantFrom('a', '\\n', "\\'", '\\\\', "''", '\\x41', '\\101', '\\u0041', 'b c', '\\é'), { maxLength: 5 })
  .map((parts) => `E'${parts.join('')}'`);
const dollar = fc
  .tuple(fc.constantFrom('$$', '$a$', '$é_1$'), plainText)
  .map(([tag, text]) => `${tag}${text.replaceAll('$', '')}'${tag}`);
// Not with comments between: PostgreSQL takes those, libpg_query refuses them.
const continued = fc
  .tuple(quoted, fc.constantFrom('\n', ' \n ', '\r\n\t'), quoted)
  .map(([first, between, second]) => first + between + second);

/** Constants that a string can be, and none that time input reads. */
export const stringConstant = fc.oneof(quoted, withQuotes, escaped, dollar, continued);
export const integerConstant = fc.oneof(
  fc.integer({ min: 0, max: 0x7fffffff }).map(String),
  fc.constantFrom('0', '2147483647'),
);
/** As PostgreSQL reads them from 16 on: each is one of its own. */
export const newNumber = fc.constantFrom('1_000', '0x1F', '0o17', '0b101', '0x_ff', '1_0.0_1', '0xFFFFFFFFFF');
export const decimalConstant = fc.constantFrom('1.5', '.5', '5.', '1e10', '1.5E-3', '2147483648', '99999999999999');
export const bitConstant = fc.constantFrom(`B'01'`, `b''`, `B'0'\n'1'`);
export const hexConstant = fc.constantFrom(`X'1F'`, `x''`);

/** White space between two tokens that must not touch. */
export const gap = fc.constantFrom(
  ' ',
  '  ',
  '\n',
  '\t',
  ' /* a */ ',
  '/* b /* c */ */',
  ' -- d\n',
  '\r\n',
  '/**/',
  '\v\f',
);
/** The same, or nothing, where a token ends by itself. */
const looseGap = fc.oneof({ arbitrary: fc.constant(''), weight: 3 }, { arbitrary: gap, weight: 1 });

const name = fc.constantFrom('a', 'b_1', 'é', '"A b"', '"it""s"', 't', 'e', 'x', 'U&"\\0061"', 'n');

const expression = fc.letrec<{ value: readonly string[]; atom: readonly string[] }>((tie) => ({
  atom: fc.oneof(
    fc
      .oneof(stringConstant, integerConstant, decimalConstant, newNumber, bitConstant, hexConstant)
      .map((text) => [text]),
    fc.constantFrom(['$1'], ['null'], ['true'], ['now', '(', ')'], ['current_timestamp', '(', '3', ')'], ["'now'"]),
    name.map((text) => [text]),
    fc.tuple(name, name).map(([first, second]) => [first, '.', second]),
  ),
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    tie('atom'),
    fc
      .tuple(tie('value'), fc.constantFrom('+', '-', '*', '/', '||', '<', '=', '@>', '->>', 'and'), tie('value'))
      .map(([left, operator, right]) => [...left, operator, ...right]),
    tie('value').map((inner) => ['(', ...inner, ')']),
    tie('atom').map((inner) => ['-', ...inner]),
    fc
      .tuple(
        tie('value'),
        fc.constantFrom(['int'], ['text', '[', ']'], ['numeric', '(', '10', ',', '2', ')'], ['float', '(', '24', ')']),
      )
      .map(([inner, type]) => ['(', ...inner, ')', '::', ...type]),
    fc
      .tuple(name, fc.array(tie('value'), { maxLength: 3 }))
      .map(([called, args]) => [called, '(', ...commaList(args), ')']),
    fc
      .tuple(tie('atom'), fc.array(tie('atom'), { minLength: 1, maxLength: 4 }))
      .map(([left, list]) => [...left, 'in', '(', ...commaList(list), ')']),
    fc.array(tie('atom'), { maxLength: 4 }).map((list) => ['array', '[', ...commaList(list), ']']),
    fc.tuple(tie('atom'), tie('atom')).map(([from, to]) => ['a', '[', ...from, ':', ...to, ']']),
  ),
})).value;

function commaList(items: readonly (readonly string[])[]): string[] {
  return items.flatMap((item, index) => (index === 0 ? [...item] : [',', ...item]));
}

const row = fc
  .array(fc.oneof(expression, fc.constant(['default'])), { minLength: 1, maxLength: 3 })
  .map((values) => ['(', ...commaList(values), ')']);
const rows = fc.array(row, { minLength: 1, maxLength: 4 }).map(commaList);

/** A statement as tokens. */
export const statement = fc.oneof(
  fc.array(expression, { minLength: 1, maxLength: 3 }).map((list) => ['select', ...commaList(list), 'from', 't']),
  fc.tuple(name, rows).map(([table, values]) => ['insert', 'into', table, 'values', ...values]),
  fc
    .tuple(name, expression, expression)
    .map(([column, value, condition]) => [
      'update',
      't',
      'set',
      column,
      '=',
      ...value,
      'where',
      '(',
      ...condition,
      ')',
    ]),
  rows.map((values) => ['values', ...values]),
  expression.map((value) => ['select', 'nextval', '(', "'s'", ')', ',', ...value]),
);

const selfDelimiting = /^[(),;[\]]$/;

/** Tokens as text: with nothing between two of them only where PostgreSQL still sees two. */
export function written(tokens: readonly string[]): fc.Arbitrary<string> {
  const gaps = tokens.map((token, index) => {
    const next = tokens[index + 1];
    if (next === undefined) return looseGap;
    const loose = selfDelimiting.test(token) || selfDelimiting.test(next);
    return loose ? looseGap : gap;
  });
  return fc.tuple(...gaps).map((between) => tokens.map((token, index) => token + (between[index] ?? '')).join(''));
}

export const statementText = statement.chain(written);

/** Tokens with one of them gone, doubled, or out of place: mostly what PostgreSQL refuses. */
export const brokenText = fc
  .tuple(
    statement,
    fc.nat(),
    fc.nat(),
    fc.constantFrom('drop', 'double', 'swap', 'insert'),
    fc.constantFrom(
      ',',
      '(',
      ')',
      ';',
      "'a'",
      '1',
      'values',
      '.',
      '..',
      '::',
      '[',
      '1a',
      "'",
      '$a$',
      '/*',
      '--',
      '"',
      'e',
      "U&'\\00'",
      'uescape',
    ),
  )
  .chain(([tokens, at, to, change, extra]) => {
    const result = [...tokens];
    const index = at % result.length;
    if (change === 'drop') result.splice(index, 1);
    else if (change === 'double') result.splice(index, 0, result[index] ?? '');
    else if (change === 'insert') result.splice(index, 0, extra);
    else {
      const other = to % result.length;
      const moved = result[index] ?? '';
      result[index] = result[other] ?? '';
      result[other] = moved;
    }
    return written(result);
  });
