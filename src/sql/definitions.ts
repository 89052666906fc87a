/** Statements that change the catalog: their names, what they are about, and whether a transaction block takes them. */

import {
  booleanOption,
  isFields,
  isTemporarySchema,
  listOf,
  nameOf,
  nodeOf,
  optionOf,
  stringOf,
  stringsOf,
  tagged,
  type Fields,
} from './tree.ts';
import type { QualifiedName } from './statement.ts';
import type { Node } from 'libpg-query';

/** Parse tree nodes that define something, with the words a user knows them by. */
const definitions: Readonly<Record<string, string>> = {
  AlterCollationStmt: 'ALTER COLLATION',
  AlterDatabaseRefreshCollStmt: 'ALTER DATABASE',
  AlterDatabaseSetStmt: 'ALTER DATABASE',
  AlterDatabaseStmt: 'ALTER DATABASE',
  AlterDefaultPrivilegesStmt: 'ALTER DEFAULT PRIVILEGES',
  AlterDomainStmt: 'ALTER DOMAIN',
  AlterEnumStmt: 'ALTER TYPE',
  AlterEventTrigStmt: 'ALTER EVENT TRIGGER',
  AlterExtensionContentsStmt: 'ALTER EXTENSION',
  AlterExtensionStmt: 'ALTER EXTENSION',
  AlterFdwStmt: 'ALTER FOREIGN DATA WRAPPER',
  AlterForeignServerStmt: 'ALTER SERVER',
  AlterFunctionStmt: 'ALTER FUNCTION',
  AlterObjectDependsStmt: 'ALTER … DEPENDS ON',
  AlterObjectSchemaStmt: 'ALTER … SET SCHEMA',
  AlterOpFamilyStmt: 'ALTER OPERATOR FAMILY',
  AlterOperatorStmt: 'ALTER OPERATOR',
  AlterOwnerStmt: 'ALTER … OWNER',
  AlterPolicyStmt: 'ALTER POLICY',
  AlterPublicationStmt: 'ALTER PUBLICATION',
  AlterRoleSetStmt: 'ALTER ROLE',
  AlterRoleStmt: 'ALTER ROLE',
  AlterSeqStmt: 'ALTER SEQUENCE',
  AlterStatsStmt: 'ALTER STATISTICS',
  AlterTSConfigurationStmt: 'ALTER TEXT SEARCH CONFIGURATION',
  AlterTSDictionaryStmt: 'ALTER TEXT SEARCH DICTIONARY',
  AlterTableMoveAllStmt: 'ALTER … ALL IN TABLESPACE',
  AlterTableSpaceOptionsStmt: 'ALTER TABLESPACE',
  AlterTableStmt: 'ALTER TABLE',
  AlterTypeStmt: 'ALTER TYPE',
  AlterUserMappingStmt: 'ALTER USER MAPPING',
  CommentStmt: 'COMMENT',
  CompositeTypeStmt: 'CREATE TYPE',
  CreateAmStmt: 'CREATE ACCESS METHOD',
  CreateCastStmt: 'CREATE CAST',
  CreateConversionStmt: 'CREATE CONVERSION',
  CreateDomainStmt: 'CREATE DOMAIN',
  CreateEnumStmt: 'CREATE TYPE',
  CreateEventTrigStmt: 'CREATE EVENT TRIGGER',
  CreateExtensionStmt: 'CREATE EXTENSION',
  CreateFdwStmt: 'CREATE FOREIGN DATA WRAPPER',
  CreateForeignServerStmt: 'CREATE SERVER',
  CreateForeignTableStmt: 'CREATE FOREIGN TABLE',
  CreateFunctionStmt: 'CREATE FUNCTION',
  CreateOpClassStmt: 'CREATE OPERATOR CLASS',
  CreateOpFamilyStmt: 'CREATE OPERATOR FAMILY',
  CreatePLangStmt: 'CREATE LANGUAGE',
  CreatePolicyStmt: 'CREATE POLICY',
  CreatePublicationStmt: 'CREATE PUBLICATION',
  CreateRangeStmt: 'CREATE TYPE',
  CreateRoleStmt: 'CREATE ROLE',
  CreateSchemaStmt: 'CREATE SCHEMA',
  CreateSeqStmt: 'CREATE SEQUENCE',
  CreateStatsStmt: 'CREATE STATISTICS',
  CreateStmt: 'CREATE TABLE',
  CreateTableSpaceStmt: 'CREATE TABLESPACE',
  CreateTransformStmt: 'CREATE TRANSFORM',
  CreateTrigStmt: 'CREATE TRIGGER',
  CreateUserMappingStmt: 'CREATE USER MAPPING',
  CreatedbStmt: 'CREATE DATABASE',
  DefineStmt: 'CREATE',
  DropOwnedStmt: 'DROP OWNED',
  DropRoleStmt: 'DROP ROLE',
  DropStmt: 'DROP',
  DropTableSpaceStmt: 'DROP TABLESPACE',
  DropUserMappingStmt: 'DROP USER MAPPING',
  DropdbStmt: 'DROP DATABASE',
  GrantRoleStmt: 'GRANT',
  GrantStmt: 'GRANT',
  ImportForeignSchemaStmt: 'IMPORT FOREIGN SCHEMA',
  IndexStmt: 'CREATE INDEX',
  ReassignOwnedStmt: 'REASSIGN OWNED',
  RenameStmt: 'ALTER … RENAME',
  RuleStmt: 'CREATE RULE',
  SecLabelStmt: 'SECURITY LABEL',
  ViewStmt: 'CREATE VIEW',
};

/**
 * A subscription has a slot on its publisher and a position of its own: made on every writer, they would take the
 * slot from each other.
 */
const ofOneServer: Readonly<Record<string, string>> = {
  AlterSubscriptionStmt: 'ALTER SUBSCRIPTION',
  CreateSubscriptionStmt: 'CREATE SUBSCRIPTION',
  DropSubscriptionStmt: 'DROP SUBSCRIPTION',
};

export interface Definition {
  readonly name: string;
  readonly route: 'lead' | 'writers';
}

export function definitionOf(tag: string): Definition | undefined {
  const name = definitions[tag];
  if (name !== undefined) return { name, route: 'writers' };
  const local = ofOneServer[tag];
  return local === undefined ? undefined : { name: local, route: 'lead' };
}

/** Kinds of DROP and COMMENT whose names are relations' own. */
const relationTypes = new Set([
  'OBJECT_TABLE',
  'OBJECT_VIEW',
  'OBJECT_MATVIEW',
  'OBJECT_SEQUENCE',
  'OBJECT_INDEX',
  'OBJECT_FOREIGN_TABLE',
]);

/** Kinds whose names are those of their relation, and one of their own behind it. */
const partTypes = new Set(['OBJECT_COLUMN', 'OBJECT_POLICY', 'OBJECT_RULE', 'OBJECT_TABCONSTRAINT', 'OBJECT_TRIGGER']);

/** Relations that a DROP or COMMENT names; the tree has them as lists of words. */
export function listedRelations(tag: string, fields: Fields): QualifiedName[] {
  const kind = String(tag === 'DropStmt' ? fields['removeType'] : fields['objtype']);
  const part = partTypes.has(kind);
  if ((tag !== 'DropStmt' && tag !== 'CommentStmt') || (!part && !relationTypes.has(kind))) return [];
  const objects = tag === 'DropStmt' ? listOf(fields['objects']) : [fields['object']];
  return objects.map((object) => {
    const words = stringsOf(nodeOf(object, 'List')?.['items']);
    return nameOf(part ? words.slice(0, -1) : words);
  });
}

/**
 * Whether everything that the statement is about belongs to the session alone: made TEMPORARY, or named in pg_temp.
 */
export function isTemporary(fields: Fields): boolean {
  const subjects = subjectsOf(fields);
  return subjects.length > 0 && subjects.every((one) => one === 'temporary');
}

/** Where a statement names what it is about; the first of them that it has. */
const subjectFields = [
  'relation',
  'relations',
  'rels',
  'sequence',
  'view',
  'typevar',
  'rel',
  'into',
  'funcname',
  'domainname',
  'defnames',
  'func',
  'typeName',
  'object',
  'objects',
];

type Subject = 'temporary' | 'permanent';

function subjectsOf(fields: Fields): Subject[] {
  const subjects: Subject[] = [];
  const field = subjectFields.find((key) => fields[key] !== undefined);
  if (field !== undefined) collectSubjects(fields[field], subjects);
  return subjects;
}

function collectSubjects(value: unknown, subjects: Subject[]): void {
  if (Array.isArray(value)) {
    // A list of words is one name; any other is a list of subjects.
    if (stringOf(value[0]) === undefined) for (const item of value) collectSubjects(item, subjects);
    else subjects.push(stringsOf(value).slice(0, -1).some(isTemporarySchema) ? 'temporary' : 'permanent');
    return;
  }
  const fields = tagged(value)?.fields ?? value;
  if (!isFields(fields)) return;
  if ('relname' in fields) {
    const schema = typeof fields['schemaname'] === 'string' ? fields['schemaname'] : undefined;
    const temporary = fields['relpersistence'] === 't' || isTemporarySchema(schema);
    subjects.push(temporary ? 'temporary' : 'permanent');
    return;
  }
  const inner = ['items', 'objname', 'names', 'rel', 'relation'].find((key) => fields[key] !== undefined);
  if (inner !== undefined) collectSubjects(fields[inner], subjects);
}

/** Where PostgreSQL calls CountOtherDBBackends: of the database, or of the template of a new one. */
export function needsNobody(tag: string, fields: Fields): boolean {
  switch (tag) {
    case 'CreatedbStmt':
    case 'DropdbStmt':
      return true;
    case 'AlterDatabaseStmt':
      return optionOf(listOf(fields['options']) as readonly Node[], 'tablespace') !== undefined;
    case 'RenameStmt':
      return fields['renameType'] === 'OBJECT_DATABASE';
    default:
      return false;
  }
}

/** Where PostgreSQL calls PreventInTransactionBlock (manual, each command's notes). */
export function forbidsBlock(tag: string, fields: Fields): boolean {
  const options = listOf(fields['options']) as readonly Node[];
  switch (tag) {
    case 'CreatedbStmt':
    case 'DropdbStmt':
    case 'CreateTableSpaceStmt':
    case 'DropTableSpaceStmt':
    case 'AlterSystemStmt':
      return true;
    case 'AlterDatabaseStmt':
      return optionOf(options, 'tablespace') !== undefined;
    case 'IndexStmt':
    case 'DropStmt':
      return fields['concurrent'] === true;
    case 'AlterTableStmt':
      return listOf(fields['cmds']).some((command) => {
        const part = nodeOf(nodeOf(command, 'AlterTableCmd')?.['def'], 'PartitionCmd');
        return part?.['concurrent'] === true;
      });
    case 'VacuumStmt':
      return fields['is_vacuumcmd'] === true;
    case 'ClusterStmt':
      // With a partitioned table's name too, which the text does not tell.
      return fields['relation'] === undefined;
    case 'ReindexStmt':
      return reindexForbidsBlock(fields);
    case 'CreateSubscriptionStmt':
      return optionIs(options, 'create_slot', optionIs(options, 'connect', true));
    case 'DropSubscriptionStmt':
      // Unless it has no slot, which the text does not tell.
      return true;
    case 'AlterSubscriptionStmt':
      return alterSubscriptionForbidsBlock(String(fields['kind']), options);
    case 'DiscardStmt':
      return fields['target'] === 'DISCARD_ALL';
    default:
      return false;
  }
}

function reindexForbidsBlock(fields: Fields): boolean {
  const kind = fields['kind'];
  if (kind !== 'REINDEX_OBJECT_TABLE' && kind !== 'REINDEX_OBJECT_INDEX') return true;
  return optionIs(listOf(fields['params']) as readonly Node[], 'concurrently', false);
}

function alterSubscriptionForbidsBlock(kind: string, options: readonly Node[]): boolean {
  if (kind === 'ALTER_SUBSCRIPTION_REFRESH') return true;
  if (kind.endsWith('_PUBLICATION')) return optionIs(options, 'refresh', true);
  const slot = ['failover', 'two_phase'];
  return kind === 'ALTER_SUBSCRIPTION_OPTIONS' && slot.some((name) => optionOf(options, name) !== undefined);
}

/** An option's value; `byDefault` where it is not given. What the server would refuse counts as true. */
function optionIs(options: readonly Node[], name: string, byDefault: boolean): boolean {
  const option = optionOf(options, name);
  return option === undefined ? byDefault : (booleanOption(option.value) ?? true);
}
