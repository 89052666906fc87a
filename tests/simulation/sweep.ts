/**
 * Keeps the table of decisions small. A fence goes when no transaction runs that was there before it: such a one could
 * still write its decision where nothing stands in the way. A decision to commit goes when nobody can ask for it any more:
 * it is old, and no follower that was asked afterwards has the transaction prepared.
 */
import type { Connection } from './connection.ts';
import type { Pool } from './pool.ts';
import type { ProxyProcess } from './process.ts';
import { askReserved } from './recovery.ts';

export class Sweep {
  readonly #process: ProxyProcess;
  #sweeping = false;

  constructor(process: ProxyProcess) {
    this.#process = process;
  }

  start(): void {
    this.#process.every(this.#process.world.config.sweepEveryMs, () => this.#sweep());
  }

  #sweep(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    const pool = this.#process.reserved[0] as Pool;
    pool.lease((connection) => {
      const over = (): void => {
        if (connection !== undefined) pool.giveBack(connection);
        this.#sweeping = false;
      };
      if (connection === undefined) over();
      else this.#deleteOld(connection, over);
    });
  }

  #deleteOld(connection: Connection, over: () => void): void {
    const { world } = this.#process;
    const rule = world.bugs.has('tombstone deleted early') ? 'all' : 'older than every transaction';
    const before = world.now - world.config.retentionMs;
    connection.send(
      [
        { kind: 'delete fences', rule },
        { kind: 'list commits', before },
      ],
      (reply) => {
        if (reply === 'lost' || reply.ids === undefined || reply.ids.length === 0) {
          over();
          return;
        }
        const { ids } = reply;
        this.#listPrepared((prepared) => {
          const free = prepared === 'unknown' ? [] : ids.filter((id) => !prepared.has(id));
          if (free.length === 0) over();
          else connection.send([{ kind: 'delete decisions', ids: free }], over);
        });
      },
    );
  }

  /** On all followers; unknown where one does not answer. */
  #listPrepared(onListed: (prepared: ReadonlySet<string> | 'unknown') => void): void {
    const { world, reserved } = this.#process;
    const prepared = new Set<string>();
    if (world.bugs.has('commit row deleted early')) {
      onListed(prepared);
      return;
    }
    let left = reserved.length - 1;
    let unknown = false;
    for (let follower = 0; follower < reserved.length - 1; follower += 1) {
      askReserved(this.#process, follower, [{ kind: 'list' }], (reply) => {
        if (reply === 'lost') unknown = true;
        else for (const { id } of reply.prepared ?? []) if (id !== undefined) prepared.add(id);
        left -= 1;
        if (left === 0) onListed(unknown ? 'unknown' : prepared);
      });
    }
  }
}
