/** What a definition may change for statements of others that are under way: see `commit/definitions.ts`. */
import type { Defined } from './statement.ts';
import { isFields, type Fields } from './tree.ts';

const NOTHING: ReadonlySet<string> = new Set([
  'AlterPublicationStmt',
  'AlterStatsStmt',
  'CommentStmt',
  'CreatePublicationStmt',
  'CreateRoleStmt',
  'CreateStatsStmt',
  'CreateFdwStmt',
  'CreateForeignServerStmt',
  'CreateTableSpaceStmt',
  'CreateUserMappingStmt',
  'CreatedbStmt',
  'DropTableSpaceStmt',
  'DropdbStmt',
  'SecLabelStmt',
]);

/** About a relation by nothing but their kind. Those that lock it for less than writers mind change nothing that an effect depends on. */
const RELATIONS: ReadonlySet<string> = new Set([
  'AlterPolicyStmt',
  'AlterSeqStmt',
  'CreatePolicyStmt',
  'CreateTrigStmt',
  'IndexStmt',
  'RuleStmt',
]);

/** They make a relation, and name it in this field. */
const MAKERS: ReadonlyMap<string, string> = new Map([
  ['CreateForeignTableStmt', 'base'],
  ['CreateSeqStmt', 'sequence'],
  ['CreateStmt', 'relation'],
  ['CreateTableAsStmt', 'into'],
  ['ViewStmt', 'view'],
]);

/** Kinds of object (parsenodes.h, ObjectType) that are relations, or parts of one. */
const WHOLE: ReadonlySet<string> = new Set([
  'OBJECT_FOREIGN_TABLE',
  'OBJECT_INDEX',
  'OBJECT_MATVIEW',
  'OBJECT_SEQUENCE',
  'OBJECT_TABLE',
  'OBJECT_VIEW',
]);
const PARTS: ReadonlySet<string> = new Set([
  'OBJECT_COLUMN',
  'OBJECT_POLICY',
  'OBJECT_RULE',
  'OBJECT_TABCONSTRAINT',
  'OBJECT_TRIGGER',
]);

/**
 * Functions run as their owner, where they are SECURITY DEFINER; a schema is searched by who may use it. The owner of anything else decides who is
 * refused.
 */
const OWNED: ReadonlySet<string> = new Set([
  'OBJECT_AGGREGATE',
  'OBJECT_FUNCTION',
  'OBJECT_PROCEDURE',
  'OBJECT_ROUTINE',
  'OBJECT_SCHEMA',
]);

const OBJECTS: Defined = { changes: 'objects', names: [] };

/** Of the statement with this node; of a SELECT INTO, too. */
export function definedBy(tag: string, fields: Fields): Defined {
  if (NOTHING.has(tag)) return { changes: 'nothing', names: [] };
  if (RELATIONS.has(tag)) return { changes: 'relations', names: [] };
  const maker = MAKERS.get(tag);
  if (maker !== undefined) return made(fields[maker]);
  switch (tag) {
    case 'SelectStmt':
      return made(fields['intoClause']);
    case 'AlterTableStmt':
      return WHOLE.has(String(fields['objtype'])) ? { changes: 'relations', names: [] } : OBJECTS;
    case 'DropStmt': {
      const kind = String(fields['removeType']);
      // Whatever depends on it may be a function, and another one of its name be called then.
      const alone = fields['behavior'] !== 'DROP_CASCADE';
      return alone && (WHOLE.has(kind) || PARTS.has(kind)) ? { changes: 'relations', names: [] } : OBJECTS;
    }
    case 'RenameStmt': {
      const kind = String(fields['renameType']);
      if (WHOLE.has(kind)) return { changes: 'relations', names: [String(fields['newname'])] };
      const ofRelation = kind !== 'OBJECT_COLUMN' || WHOLE.has(String(fields['relationType']));
      return PARTS.has(kind) && ofRelation ? { changes: 'relations', names: [] } : OBJECTS;
    }
    case 'AlterObjectSchemaStmt':
      return WHOLE.has(String(fields['objectType'])) ? made(fields['relation']) : OBJECTS;
    case 'AlterOwnerStmt':
      return OWNED.has(String(fields['objectType'])) ? OBJECTS : { changes: 'nothing', names: [] };
    case 'GrantStmt':
      return fields['objtype'] === 'OBJECT_SCHEMA' ? OBJECTS : { changes: 'relations', names: [] };
    default:
      return OBJECTS;
  }
}

/** Where the tree names a relation that is made. */
function made(subject: unknown): Defined {
  if (!isFields(subject)) return OBJECTS;
  const relation = [subject['rel'], subject['relation'], subject].find((one) => isFields(one) && 'relname' in one);
  const name = isFields(relation) ? relation['relname'] : undefined;
  return typeof name === 'string' ? { changes: 'relations', names: [name] } : OBJECTS;
}
