/**
 * Who waits for whom, over all writers. A transaction has a session on each of them, and ends on all or on none: it waits
 * where any of its sessions does, and whoever waits for one of them waits for all. A circle on one server is that server's
 * own to end; one that goes over to another writer within a transaction no server can see.
 */

/** On `writer`, an index among the writers (0: the lead), process `waiter` waits for process `blocker`. */
export interface Wait {
  readonly writer: number;
  readonly waiter: number;
  readonly blocker: number;
}

/** A transaction with a session on the lead and on others. */
export interface Party {
  /** Process ids of its sessions, by their writers; the lead's is among them. */
  readonly sessions: ReadonlyMap<number, number>;
  /** `ending`: its commit or rollback is under way; it cannot be chosen any more. */
  readonly stage: 'open' | 'ending';
}

export interface Circle {
  /** Each waits for the next, the last for the first. */
  readonly waits: readonly Wait[];
  /** Who is to give way, and where it waits. Undefined: nobody can. */
  readonly victim: { readonly party: Party; readonly writer: number } | undefined;
}

const LEAD = 0;

type Vertex = Party | string;

interface Edge {
  readonly wait: Wait;
  readonly to: Vertex;
}

export function leadProcess(party: Party): number {
  return party.sessions.get(LEAD) ?? 0;
}

/** The circles that no server can see; of those through the same transactions one at least. */
export function findCircles(parties: readonly Party[], waits: readonly Wait[]): readonly Circle[] {
  const sessions = new Map<string, Party>();
  for (const party of parties)
    for (const [writer, process] of party.sessions) sessions.set(sessionKey(writer, process), party);
  const vertexOf = (writer: number, process: number): Vertex => {
    const key = sessionKey(writer, process);
    return sessions.get(key) ?? key;
  };
  const edges = new Map<Vertex, Edge[]>();
  for (const wait of waits) {
    const from = vertexOf(wait.writer, wait.waiter);
    const edge = { wait, to: vertexOf(wait.writer, wait.blocker) };
    edges.set(from, [...(edges.get(from) ?? []), edge]);
  }
  const circles = new Map<string, Circle>();
  for (const party of parties) {
    for (const first of edges.get(party) ?? []) {
      const circle = closeCircle(edges, party, first);
      if (circle === undefined) continue;
      circles.set(circleKey(circle), { waits: circle, victim: victimOf(circle, vertexOf) });
    }
  }
  return [...circles.values()];
}

/** The same for the same circle, wherever it was entered. */
export function circleKey(waits: readonly Wait[]): string {
  return waits
    .map(({ writer, waiter, blocker }) => `${writer}:${waiter}>${blocker}`)
    .sort()
    .join(' ');
}

function sessionKey(writer: number, process: number): string {
  return `${writer}:${process}`;
}

/** The shortest way on from `first` that comes back to `start` on another writer than it left by. */
function closeCircle(
  edges: ReadonlyMap<Vertex, readonly Edge[]>,
  start: Party,
  first: Edge,
): readonly Wait[] | undefined {
  const reached = new Map<Vertex, { readonly by: Edge; readonly from: Vertex }>();
  const line: Vertex[] = [];
  const reach = (from: Vertex, by: Edge): void => {
    if (by.to === start || reached.has(by.to)) return;
    reached.set(by.to, { by, from });
    line.push(by.to);
  };
  reach(start, first);
  for (let vertex = line.shift(); vertex !== undefined; vertex = line.shift()) {
    for (const edge of edges.get(vertex) ?? []) {
      if (edge.to !== start || edge.wait.writer === first.wait.writer) {
        reach(vertex, edge);
        continue;
      }
      const back = [edge.wait];
      for (let at: Vertex = vertex; at !== start; ) {
        const step = reached.get(at);
        if (step === undefined) return undefined;
        back.push(step.by.wait);
        at = step.from;
      }
      return back.toReversed();
    }
  }
  return undefined;
}

/**
 * The same in every process that sees the circle: first of those that wait on the lead, since these have a statement in hand
 * that can fail, and have followers' locks alone to lose; then the one whose session there is the youngest, by its number.
 */
function victimOf(waits: readonly Wait[], vertexOf: (writer: number, process: number) => Vertex): Circle['victim'] {
  let best: { readonly party: Party; readonly writer: number } | undefined;
  for (const { writer, waiter } of waits) {
    const party = vertexOf(writer, waiter);
    if (typeof party === 'string' || party.stage === 'ending') continue;
    if (best === undefined || ranks({ party, writer }, best)) best = { party, writer };
  }
  return best;
}

function ranks(one: NonNullable<Circle['victim']>, other: NonNullable<Circle['victim']>): boolean {
  const [oneLeads, otherLeads] = [one.writer === LEAD, other.writer === LEAD];
  if (oneLeads !== otherLeads) return oneLeads;
  return leadProcess(one.party) > leadProcess(other.party);
}
