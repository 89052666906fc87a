/** Why a connection ended: spelled once, for log lines, metrics and the admin console. */

export type CloseReason =
  | 'client terminated'
  | 'client disconnected'
  | 'client socket error'
  | 'client start-up timed out'
  | 'client start-up refused'
  | 'client protocol violation'
  | 'client too slow to be told'
  | 'server session lost'
  | 'server disconnected'
  | 'server socket error'
  | 'server protocol violation'
  | 'server start-up failed'
  | 'server start-up timed out'
  | 'server too slow'
  | 'session state not movable'
  | 'in the way of a statement'
  | 'lifetime reached'
  | 'idle'
  | 'pool full'
  | 'internal error'
  | 'shutdown';
