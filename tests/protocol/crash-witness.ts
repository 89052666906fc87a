/** Tells a server that has crashed from one that has ended a connection: a crash ends all sessions, an idle one as well. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RawClient, type Target } from '../support/raw-client.ts';

/** Far above what a crash recovery takes. */
const RECOVERY_PATIENCE_MS = 60_000;
const CANNOT_CONNECT_NOW = '57P03';

export class CrashWitness {
  readonly #target: Target;
  #session: RawClient;

  private constructor(target: Target, session: RawClient) {
    this.#target = target;
    this.#session = session;
  }

  /** Takes a session of the server and keeps it. */
  static async start(target: Target): Promise<CrashWitness> {
    return new CrashWitness(target, await sessionOf(target));
  }

  /** Until the server has recovered from the crash that it is in or was in; throws where there was none. */
  async confirmCrash(): Promise<void> {
    await this.#session.waitClosed();
    this.#session = await sessionOf(this.#target);
  }

  stop(): void {
    this.#session.destroy();
  }
}

/** A server that recovers lets nobody in, and says so; in its first moment it only closes what it had just accepted. */
async function sessionOf(target: Target): Promise<RawClient> {
  const deadline = performance.now() + RECOVERY_PATIENCE_MS;
  for (;;) {
    const session = await RawClient.start(target);
    if (session.readies === 1) return session;
    const codes = session.messages.flatMap((one) =>
      one.type === 'ErrorResponse' ? [new Map(one.fields).get('C')] : [],
    );
    const recovering = codes.length === 0 || codes[0] === CANNOT_CONNECT_NOW;
    if (!recovering || performance.now() > deadline) {
      throw new Error(`${target.host}:${target.port} gives no session: ${codes.join(', ') || 'no answer'}`);
    }
    await sleep(50);
  }
}
