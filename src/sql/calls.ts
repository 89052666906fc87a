/** What the call of a function, by its name, its arguments and its place, tells about the statement that it stands in. */

import { builtinVolatility } from './builtin-functions.ts';
import { isPortable } from './portable-functions.ts';
import type { CallPlaces } from './call-places.ts';
import { emptyCallSpan } from './call-span.ts';
import { isIdentifier, isNumber, specialCalls } from './expressions.ts';
import type { Facts } from './facts.ts';
import { durableEffect, functionEffect, OWN_SCHEMA, returnsSet } from './function-effects.ts';
import { NAMED } from './listening-channels.ts';
import { configChange } from './setting-names.ts';
import type { QualifiedName } from './statement.ts';
import { constantText, isObjectNumber, nameParameter, type Fields } from './tree.ts';

export interface Call {
  readonly name: QualifiedName;
  readonly args: readonly unknown[];
  /** The whole FuncCall. */
  readonly fields: Fields;
  /** `both`: now, and again whenever what the statement stores is used. */
  readonly evaluation: 'evaluated' | 'both';
}

/** Tells `facts` of a call that the statement evaluates; `text`: what the tree's locations are offsets of. */
export function noteCall(
  facts: Facts,
  { name, args, fields, evaluation }: Call,
  text: Buffer,
  places: CallPlaces,
): void {
  if (name.schema === OWN_SCHEMA) {
    facts.mayReturnSet = true;
    facts.raise('lead', `calls ${OWN_SCHEMA}.${name.name}(): the lead alone has it`);
    return facts.differs('server', `${OWN_SCHEMA}.${name.name}()`);
  }
  const builtin = name.schema === undefined || name.schema === 'pg_catalog' || name.schema === 'information_schema';
  const known = builtin && (specialCalls.has(name.name) || functionEffect(name.name) !== undefined);
  if (!known && !(builtin && builtinVolatility(name.name) !== undefined)) {
    facts.functions.add(name);
    facts.mayReturnSet = true;
    return;
  }
  if (name.schema === undefined) facts.shadowable.add(name.name);
  if (durableEffect(name.name) !== undefined || name.name === 'setval') facts.durable.add(name.name);
  if (!isPortable(name.name)) facts.unportable.add(name.name);
  if (returnsSet(name.name)) facts.mayReturnSet = true;
  switch (name.name) {
    case 'nextval':
    case 'setval':
      return noteSequenceCall(facts, name.name, args);
    case 'currval':
    case 'lastval':
      facts.needsSequenceState = true;
      facts.raise('lead', `calls ${name.name}()`);
      return facts.differs('server', `${name.name}()`);
    case 'current_setting':
      facts.raise('lead', 'calls current_setting()');
      // A client's own setting is the same in all its server sessions.
      return constantText(args[0])?.includes('.') === true ? undefined : facts.differs('server', 'current_setting()');
    case 'set_config': {
      // A setting can change what a later statement does: every leg has to have it.
      facts.raise('writers', 'calls set_config()');
      const change = configChange(args);
      // Of a value for the session and one for the transaction, the one that is left is not the one that is seen.
      const mixed = facts.settings.some((other) => other.name === change?.name && other.scope !== change.scope);
      if (change === undefined || mixed) facts.pins.add('setting');
      else facts.settings.push(change);
      return;
    }
    case 'now':
    case 'transaction_timestamp': {
      const location = fields['location'];
      const replaceable =
        typeof location === 'number' && args.length === 0 && evaluation === 'evaluated' && !places.isFixed(fields);
      const span = replaceable ? emptyCallSpan(text, location) : undefined;
      return facts.differs('transaction time', `${name.name}()`, span, span && 'timestamptz');
    }
    case 'pg_backend_pid': {
      const location = fields['location'];
      const plain = args.length === 0 && fields['over'] === undefined && fields['agg_filter'] === undefined;
      const replaceable = plain && evaluation === 'evaluated' && !places.isTable(fields);
      const span = replaceable && typeof location === 'number' ? emptyCallSpan(text, location) : undefined;
      facts.raise('lead', 'calls pg_backend_pid(): tells about the server');
      return facts.differs('server', 'pg_backend_pid()', span, span && 'int4');
    }
    case 'pg_listening_channels': {
      const location = fields['location'];
      const plain = args.length === 0 && fields['over'] === undefined && fields['agg_filter'] === undefined;
      const named = places.namedBy(fields);
      const replaceable = plain && evaluation === 'evaluated' && named !== 'something around it';
      const span = replaceable && typeof location === 'number' ? emptyCallSpan(text, location) : undefined;
      facts.raise('lead', 'calls pg_listening_channels(): tells about the server');
      return facts.differs('server', 'pg_listening_channels()', span, span && (named === 'itself' ? NAMED : 'text'));
    }
    case 'age':
      // Of one argument: its distance from the current date.
      return args.length === 1 ? facts.differs('transaction time', 'age()') : undefined;
    case 'ts_rewrite':
      if (args.length === 3) return;
      break;
    case 'lo_create':
    case 'lo_from_bytea':
      if (isIdentifier(args[0])) return facts.raise('writers', `calls ${name.name}(): ${durableEffect(name.name)}`);
  }
  const effect = functionEffect(name.name);
  if (effect === undefined) return;
  const because = effect.because === undefined ? '' : `: ${effect.because}`;
  facts.raise(effect.route, `calls ${name.name}()${because}`);
  if (effect.pin !== undefined) facts.pins.add(effect.pin);
  if (effect.unpin !== undefined) facts.unpins.add(effect.unpin);
  if (effect.result !== undefined) facts.differs(effect.result, `${name.name}()`);
}

function noteSequenceCall(facts: Facts, name: 'nextval' | 'setval', args: readonly unknown[]): void {
  if (facts.sequenceCalls !== 'setval') facts.sequenceCalls = name;
  const sequence = constantText(args[0]);
  const parameter = nameParameter(args[0]);
  if (sequence !== undefined) facts.sequenceNames.add(sequence);
  else if (parameter !== undefined) {
    facts.sequenceParameters.add(parameter);
    facts.parameter(parameter, undefined);
  } else facts.unnamedSequences = 'some';
  if (name === 'setval') noteSequenceOnWriters(facts, args[0], sequence, parameter);
  facts.pins.add('sequence value');
  facts.raise(name === 'nextval' ? 'lead' : 'writers', `calls ${name}()`);
  if (name === 'nextval') facts.differs('volatile', 'nextval()');
}

/** By its name it is the same sequence on every writer; by its number it is not. */
function noteSequenceOnWriters(
  facts: Facts,
  value: unknown,
  name: string | undefined,
  parameter: number | undefined,
): void {
  if (parameter !== undefined) facts.namedBy(parameter);
  else if (name === undefined ? isNumber(value) : isObjectNumber(name)) {
    facts.differs('server', 'setval() of a sequence by its number');
  }
}
