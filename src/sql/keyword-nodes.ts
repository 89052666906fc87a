/** What PostgreSQL's parse tree calls keywords, and which names and types mean something to the walk of a statement. */

export const clockKeywords: Readonly<Record<string, { readonly keyword: string; readonly type: string }>> = {
  SVFOP_CURRENT_DATE: { keyword: 'CURRENT_DATE', type: 'date' },
  SVFOP_CURRENT_TIME: { keyword: 'CURRENT_TIME', type: 'timetz' },
  SVFOP_CURRENT_TIMESTAMP: { keyword: 'CURRENT_TIMESTAMP', type: 'timestamptz' },
  SVFOP_LOCALTIME: { keyword: 'LOCALTIME', type: 'time' },
  SVFOP_LOCALTIMESTAMP: { keyword: 'LOCALTIMESTAMP', type: 'timestamp' },
};

export const roleKeywords: Readonly<Record<string, string>> = {
  SVFOP_CURRENT_ROLE: 'CURRENT_ROLE',
  SVFOP_CURRENT_USER: 'CURRENT_USER',
  SVFOP_USER: 'USER',
  SVFOP_SESSION_USER: 'SESSION_USER',
};

/** What the session is connected to, which may have another name on another server. */
export const placeKeywords: Readonly<Record<string, string>> = {
  SVFOP_CURRENT_CATALOG: 'current_catalog',
  SVFOP_CURRENT_SCHEMA: 'current_schema',
};

/** Names of roles, tables, types and the like, stored as an identifier that each server hands out for itself. */
export const identifierType =
  /^_?reg(class|proc|procedure|oper|operator|type|namespace|role|config|dictionary|collation)$/;

/** Where a row lies and which transaction made it: each server's own. */
export const systemColumns = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']);

export const lockStrength: Readonly<Record<string, string>> = {
  LCS_FORUPDATE: 'FOR UPDATE',
  LCS_FORNOKEYUPDATE: 'FOR NO KEY UPDATE',
  LCS_FORSHARE: 'FOR SHARE',
  LCS_FORKEYSHARE: 'FOR KEY SHARE',
};

/** Operators behind keywords. */
export const keywordOperators: Readonly<Record<string, readonly string[]>> = {
  BETWEEN: ['>=', '<='],
  'NOT BETWEEN': ['<', '>'],
  'BETWEEN SYMMETRIC': ['>=', '<='],
  'NOT BETWEEN SYMMETRIC': ['<', '>'],
};

/** Of texts in order, of classes of characters, and of floating-point mathematics. LIKE looks at characters alone. */
export const unportableOperators: ReadonlySet<string> = new Set([
  ...['<', '<=', '>', '>=', 'GREATEST', 'LEAST', ...Object.keys(keywordOperators)],
  ...['~', '~*', '!~', '!~*', '~~*', '!~~*'],
  ...['^', '|/', '||/'],
]);

export const writingStatements: Readonly<Record<string, string>> = {
  InsertStmt: 'INSERT',
  UpdateStmt: 'UPDATE',
  DeleteStmt: 'DELETE',
  MergeStmt: 'MERGE',
};
