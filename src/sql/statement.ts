/**
 * What a statement's text alone says about it: the vocabulary between the parser and everything that decides.
 *
 * Nothing here knows a catalog, a session or a server. Where the catalog decides (a user's function, a column's
 * default) the name is handed on and `cluster/catalog` answers.
 */

/** Where a statement runs; see ARCHITECTURE, "Routes". */
export type Route = 'reader' | 'lead' | 'writers';

/** A possibly schema-qualified name, already case-folded and unquoted as PostgreSQL does it. */
export interface QualifiedName {
  readonly schema: string | undefined;
  readonly name: string;
}

/** State that a statement leaves in its server session and that cannot be moved to another one. */
export type PinReason =
  | 'setting'
  | 'temporary object'
  | 'held cursor'
  | 'advisory lock'
  | 'sequence value'
  | 'volatile function';

/** A setting that a statement changes. */
export interface SettingChange {
  /** In lower case, as PostgreSQL calls it today (`work_mem` for sort_mem); `all` for RESET ALL and DISCARD ALL. */
  readonly name: string;
  readonly scope: 'session' | 'local';
  /** `set`: in whatever way, to a value that the server knows. `reset`: to the value of the session's start. */
  readonly how: 'set' | 'reset';
}

/** Something in the text whose value differs from server to server or from run to run. */
export interface Nondeterminism {
  /**
   * `transaction time`: fixed for the transaction (now(), CURRENT_DATE, …), so the lead's value can stand in for it.
   * `volatile`: differs at each evaluation (random(), nextval(), 'now' as a literal, …).
   * `server`: depends on the server or session (pg_backend_pid(), inet_server_addr(), version(), …).
   */
  readonly kind: 'transaction time' | 'volatile' | 'server';
  /** As written for the user's eyes: `now()`, `CURRENT_TIMESTAMP`, `'today'`. */
  readonly name: string;
  /** Byte range of the whole call in the statement's query text, where it can be replaced by a value; else undefined. */
  readonly span: Span | undefined;
  /**
   * Type of the replaced value, for `transaction time` with a span: timestamptz | timestamp | date | timetz | time;
   * with a precision where one is written: `timestamptz(3)`. Of pg_backend_pid() with a span: int4; of
   * pg_listening_channels() text, where it gives its name to a column or table `text AS pg_listening_channels`.
   */
  readonly type: string | undefined;
  /** Varies only where the value of this parameter is not the name of an object: its number is another one's elsewhere. */
  readonly parameter?: number | undefined;
  /** A constant's or parameter's: it varies only where the type of one of these columns is one of moments. */
  readonly column?: ColumnPlace | undefined;
}

/** Where a constant has the type of columns of the statement's table. */
export interface ColumnPlace {
  /** What it is given to or stands beside. */
  readonly columns: readonly string[];
  /** What stands between: a user's operator of such a name may take other types than those of PostgreSQL do. */
  readonly operators: readonly string[];
}

/** `<`, `~*`, `GREATEST` … `columns`: names of those that are operands, whose types may tell that it is about numbers. */
export interface UnportableOperator {
  readonly name: string;
  readonly columns: readonly string[];
}

/** What nextval() and setval() are called for. */
export interface SequenceCalls {
  readonly calls: 'none' | 'nextval' | 'setval';
  /** Whether it says where any is to go on: setval(), RESTART, ALTER SEQUENCE. */
  readonly sets: 'none' | 'some';
  /** As constants name them. Empty where any call takes its sequence from elsewhere, so that others may be meant as well. */
  readonly names: readonly string[];
  /** Numbers of the parameters that name the others. */
  readonly parameters: readonly number[];
}

/** Bytes of the query text as the client sent it, without the terminating zero. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface TransactionModes {
  readonly access: 'read only' | 'read write' | undefined;
  readonly isolation: 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable' | undefined;
  readonly deferrable: boolean | undefined;
}

export type TransactionAction =
  /** `words`: what it is completed with. */
  | { readonly action: 'begin'; readonly modes: TransactionModes; readonly words: 'BEGIN' | 'START TRANSACTION' }
  | { readonly action: 'commit' | 'rollback'; readonly chain: boolean }
  | { readonly action: 'savepoint' | 'release' | 'rollback to'; readonly name: string }
  /** PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED. */
  | { readonly action: 'prepare' | 'commit prepared' | 'rollback prepared' };

export interface InsertCommand {
  readonly kind: 'insert';
  readonly target: QualifiedName;
  /** Alias of the target in `INSERT INTO t AS a`: names the row in RETURNING. */
  readonly alias: string | undefined;
  /** Columns as listed; undefined where the statement lists none. */
  readonly columns: readonly string[] | undefined;
  /** `rows`: VALUES lists or DEFAULT VALUES. `query`: anything that reads a relation or a set-returning function. */
  readonly source: 'rows' | 'query';
  /** Whether there may be more than one row. */
  readonly several: boolean;
  /** Columns that are given the keyword DEFAULT somewhere in VALUES, by position in the list. */
  readonly defaultPositions: readonly number[];
  /** Number of expressions in the first VALUES row (columns beyond it take their defaults); undefined for a query. */
  readonly width: number | undefined;
  readonly onConflict: 'error' | 'nothing' | 'update';
  /** Columns assigned by ON CONFLICT DO UPDATE SET. */
  readonly conflictColumns: readonly string[];
  /** Those of them that are given the keyword DEFAULT. */
  readonly conflictDefaults: readonly string[];
  /** OVERRIDING USER VALUE: identity columns take their own value, whatever is given. */
  readonly overriding: 'user value' | 'nothing or system value';
  /** What the row, ON CONFLICT and RETURNING look at. */
  readonly reads: 'own row' | 'other rows';
  readonly hasReturning: boolean;
  /** Data-modifying WITH clauses beside the INSERT itself. */
  readonly hasWritingWith: boolean;
}

/** What an UPDATE or DELETE says about the rows that it changes. */
export interface Modification {
  /** UPDATE ONLY, DELETE FROM ONLY. */
  readonly only: boolean;
  /** Columns that SET gives values to, as often as they are named. */
  readonly assigned: readonly string[];
  /** Those of them that are given the keyword DEFAULT. */
  readonly defaulted: readonly string[];
  /** Columns that WHERE has equal to a constant or parameter, whatever else it asks. */
  readonly equated: readonly string[];
  /** `own row`: neither a join, nor a subquery, nor a cursor. */
  readonly reads: 'own row' | 'other rows';
  /** Whether it reads columns, so that it needs SELECT as well, and the policies for it apply (manual, "CREATE POLICY"). */
  readonly selects: boolean;
}

export interface ModifyCommand {
  readonly kind: 'modify';
  readonly statement: 'update' | 'delete' | 'merge' | 'select';
  readonly target: QualifiedName | undefined;
  /** Names the target's row in RETURNING where the statement gives it an alias. */
  readonly alias: string | undefined;
  readonly hasReturning: boolean;
  /** Of an UPDATE or DELETE. */
  readonly modification: Modification | undefined;
  /** Of a MERGE: columns that its UPDATEs give values to, and whether it has a DELETE. */
  readonly merged: { readonly assigned: readonly string[]; readonly deletes: 'some' | 'none' } | undefined;
  /** Data-modifying WITH clauses beside the command itself. */
  readonly hasWritingWith: boolean;
}

export interface NestedWrite {
  readonly target: QualifiedName;
  /** Of an UPDATE or DELETE. `rows`: an INSERT of rows that the text holds, none of which may meet another. */
  readonly what: Modification | 'rows' | 'other';
  /** `new rows`: it gives no row that is there another value, and removes none. */
  readonly stores: 'new rows' | 'other versions' | 'nothing';
  /** Of an INSERT: what becomes of a row that meets another one. */
  readonly onConflict: 'error' | 'other';
}

export interface AddedColumn {
  readonly name: string;
  /** Whether the text gives it one, a serial's aside. */
  readonly default: 'given' | 'none';
  /** Where it is not one of PostgreSQL's own: it may be a domain, with a default that the text does not show. */
  readonly type: QualifiedName | undefined;
}

/**
 * What a definition changes. `nothing`: what no statement's effect depends on. `relations`: what those who use a relation keep from being changed, by
 * the lock that they hold on it until their transaction ends. `objects`: what may change while a transaction uses it: functions, types, roles.
 */
export type Changed = 'nothing' | 'relations' | 'objects';

export interface Defined {
  readonly changes: Changed;
  /** Names that relations are given: where another schema has one of them, it may stand for that one no longer. */
  readonly names: readonly string[];
}

export type Command =
  /** SELECT, VALUES, TABLE without a durable effect by its own text; EXPLAIN without ANALYZE; SHOW. */
  | { readonly kind: 'read' }
  | InsertCommand
  /** UPDATE, DELETE, MERGE, and a SELECT whose WITH writes. */
  | ModifyCommand
  | {
      readonly kind: 'copy in';
      readonly source: 'stdin' | 'server';
      readonly target: QualifiedName;
      readonly columns: readonly string[] | undefined;
      /** `some`: option DEFAULT, by which any of them may be left to its default. */
      readonly marks: 'none' | 'some';
      /** `its own`: options QUOTE or ESCAPE, by which any sign may stand within a word. */
      readonly quotes: 'the usual ones' | 'its own';
    }
  | { readonly kind: 'copy out'; readonly sink: 'stdout' | 'server' }
  | ({ readonly kind: 'transaction' } & TransactionAction)
  /** SET TRANSACTION / SET SESSION CHARACTERISTICS AS TRANSACTION. */
  | { readonly kind: 'set transaction'; readonly scope: 'transaction' | 'session'; readonly modes: TransactionModes }
  /** SET, RESET, RESET ALL, SET ROLE, SET SESSION AUTHORIZATION, SET NAMES, SET TIME ZONE … ; name in lower case, `all` for RESET ALL. */
  | { readonly kind: 'set'; readonly scope: 'session' | 'local'; readonly name: string }
  | { readonly kind: 'discard'; readonly what: 'all' | 'plans' | 'sequences' | 'temp' }
  /** SQL-level PREPARE name AS statement; what it prepares is analysed by itself. */
  | { readonly kind: 'prepare'; readonly name: string }
  /** `count`: of the arguments. */
  | { readonly kind: 'execute'; readonly name: string; readonly count: number }
  | { readonly kind: 'deallocate'; readonly name: string | undefined }
  /**
   * DDL and what else changes the catalog (CREATE, ALTER, DROP, GRANT, COMMENT, …): cached catalog knowledge is dropped. `none to a
   * database`: PostgreSQL refuses it while somebody is connected to the one that it is about.
   */
  | ({ readonly kind: 'definition'; readonly connections: 'none to a database' | 'any' } & Defined)
  | { readonly kind: 'listen'; readonly channel: string }
  /** Of every channel where none is named. */
  | { readonly kind: 'unlisten'; readonly channel: string | undefined }
  /** Everything else: VACUUM, ANALYZE, CALL, DO, LOCK, DECLARE, FETCH, NOTIFY, CHECKPOINT, REFRESH, TRUNCATE … */
  | { readonly kind: 'utility'; readonly name: string };

export interface Statement {
  /** Bytes of this statement in the query text, without its semicolon; leading white space and comments belong to it. */
  readonly span: Span;
  /** Node name in PostgreSQL's parse tree: `SelectStmt`. */
  readonly node: string;
  readonly command: Command;
  /** By text and built-in functions alone; the catalog can only raise it (reader → lead → writers). */
  readonly route: Route;
  /** Why this route, for EXPLAIN, logs and the table test: `INSERT`, `calls setval()`, `FOR UPDATE`. */
  readonly reason: string;
  /** Session state that it leaves behind. */
  readonly pins: readonly PinReason[];
  /** Pins that it may end: the server knows whether anything of the kind is left. */
  readonly unpins: readonly PinReason[];
  /** Settings that it changes by SET, RESET, DISCARD ALL or set_config(); where their names are not in its text it pins. */
  readonly settings: readonly SettingChange[];
  /** Whether it may run inside a transaction block (VACUUM, CREATE DATABASE, … may not). */
  readonly block: 'allowed' | 'forbidden';
  /** Functions and procedures called that are not built in: the catalog says what they may do. */
  readonly functions: readonly QualifiedName[];
  /** Functions, by name, in what a definition keeps for later: an index or a constraint may be computed at once. */
  readonly stored: readonly string[];
  /** Built-in functions called without their schema: a user's function of that name with other argument types may win. */
  readonly shadowable: readonly string[];
  /** Names as in `t.name` and `(row).name`: where the row has no such column, PostgreSQL calls `name(row)`. */
  readonly attributes: readonly string[];
  /** Types that it casts to, but for plain ones of PostgreSQL's own: a function of the user's may do it, or look at the value of a domain. */
  readonly casts: readonly string[];
  /** Names of columns that it reads, wherever they stand. */
  readonly columns: readonly string[];
  /** Operators by name (`+`, `@@`, `OPERATOR(s.+)`): a user's operator may call a volatile function. */
  readonly operators: readonly QualifiedName[];
  /** Relations named anywhere in it, the target or what is defined first, common table expressions excluded. */
  readonly relations: readonly QualifiedName[];
  /** Targets of MERGE and of INSERTs below WITH: columns that they leave out take defaults that the text does not show. */
  readonly inserts: readonly QualifiedName[];
  /** INSERT, UPDATE, DELETE and MERGE below WITH. */
  readonly nested: readonly NestedWrite[];
  /** Relations that are read, common table expressions excluded: a target alone is not. */
  readonly reads: readonly QualifiedName[];
  readonly nondeterminism: readonly Nondeterminism[];
  /**
   * What is read as a moment or a type of the user's, which words of time may be as they come: the name of a column, or
   * undefined for any other expression. Constants and parameters are looked at themselves.
   */
  readonly conversions: readonly (string | undefined)[];
  readonly sequences: SequenceCalls;
  /** Built-in functions whose result may depend on what the server was built with: its locale, its mathematics, its zones. */
  readonly unportable: readonly string[];
  /** Built-in operators of which the same may be true: no operand is a constant that tells that they are about numbers. */
  readonly unportableOperators: readonly UnportableOperator[];
  /** Names of built-in functions that change something beside rows of tables: large objects, where a sequence stands. */
  readonly durable: readonly string[];
  /** ALTER TABLE: whether it gives the rows there are values that depend on their order, or reads them as another type. */
  readonly rewrites: 'nothing' | 'rows';
  /** What becomes of partitions: one `of hashes` comes, or some are `taken away` from their table, with the rows in them. */
  readonly partitions: 'none' | 'of hashes' | 'taken away';
  /** What a definition fills with the rows of its query. */
  readonly fills: 'nothing' | 'table' | 'materialized view';
  /** Of ALTER TABLE … ADD COLUMN. */
  readonly added: readonly AddedColumn[];
  /** By name, what makes the result depend on the order in which a server finds rows: LIMIT, a window, an aggregate of a list. */
  readonly order: readonly string[];
  /** The same of a query whose WITH writes, where it does no more than show what that returns; what its functions do aside. */
  readonly orderShown: readonly string[];
  /** Parameters all of whose places are columns', by their numbers. */
  readonly columnParameters: ReadonlyMap<number, readonly ColumnPlace[]>;
  /** currval() or lastval(): only the server session that called nextval() can answer. */
  readonly needsSequenceState: boolean;
  /** The prepared statement that EXECUTE, EXPLAIN EXECUTE or CREATE TABLE … AS EXECUTE names: what it does is not in the text. */
  readonly executes: string | undefined;
  /** EXPLAIN (PPROX): what would be done with this one is told, by pprox itself. */
  readonly planned: Statement | undefined;
  /** EXPLAIN (…, ANALYZE): runs, and its rows are timings that differ from server to server. */
  readonly explains: boolean;
}

/** Why a query text has no statements that could be trusted. */
export type Unreadable =
  /** PostgreSQL's grammar refuses it: the lead says how, in its own words. */
  | 'syntax'
  /** The parser gave up on its depth. */
  | 'nesting'
  /** Over the size limit, after constants are taken out. */
  | 'size'
  /** Bytes that could mean something else to the server: encoding or string-literal rules other than ours. */
  | 'lexis';

export type Analysis =
  | {
      readonly kind: 'statements';
      readonly statements: readonly Statement[];
      readonly hint: 'reader' | 'lead' | undefined;
    }
  | { readonly kind: 'unreadable'; readonly why: Unreadable };

/** How the server will read the text: both are reported by ParameterStatus and both can change its meaning. */
export interface Lexis {
  /** client_encoding as reported: `UTF8`. */
  readonly encoding: string;
  /** standard_conforming_strings as reported. */
  readonly standardStrings: 'on' | 'off';
}
