/** Statements of the proxy's own, prepared once on each connection. */
import { ExtendedWriter } from '../wire/extended.ts';
import type { PreparedNames } from './prepared.ts';

/** One text has one name, whatever connection it is for. No client's statement has a name like these on a server. */
export interface OwnStatement {
  readonly name: `pprox: ${string}`;
  readonly text: string;
  /** Of its parameters, in text; none where it has none. */
  readonly values?: readonly Buffer[];
}

const NO_VALUES = { formats: [], values: [], resultFormats: [] };

/** Statements of ours in a row, ending in one Sync: where one fails the rest is not reached (manual, "Extended Query"). */
export class OwnMessage {
  readonly #writer = new ExtendedWriter();
  readonly #prepared: PreparedNames;
  #closings = 0;

  /** `prepared`: of the connection that it is for. Who gets an error in answer to it calls `doubtOwn` there. */
  constructor(prepared: PreparedNames) {
    this.#prepared = prepared;
  }

  run({ name, text, values: own = [] }: OwnStatement, values: readonly Buffer[] = own): this {
    // One that is there unknown to us would be in the way.
    if (this.#prepared.addOwn(name)) {
      this.#writer.close('statement', name).parse(name, Buffer.from(text), []);
      this.#closings++;
    }
    this.#writer.bind('', name, { ...NO_VALUES, values }).execute('', 0);
    return this;
  }

  /** The same, whatever has become of what was prepared: parsed each time. */
  runAnew({ name, text }: OwnStatement): this {
    this.#closings++;
    this.#writer.close('statement', name).parse(name, Buffer.from(text), []).bind('', name, NO_VALUES).execute('', 0);
    return this;
  }

  /** A text that is another one every time. */
  runOnce(text: string): this {
    this.#prepared.unnamed = undefined;
    this.#writer.parse('', Buffer.from(text), []).bind('', '', NO_VALUES).execute('', 0);
    return this;
  }

  /** A client that asks for the unnamed portal next is not to find ours. */
  sync(): Buffer {
    return this.#writer.close('portal', '').sync();
  }

  /**
   * For what stands in front of another message, which is to find no unnamed portal of ours: the last CloseComplete of these is the end of its reply.
   */
  ahead(): { readonly message: Buffer; readonly closings: number } {
    const message = this.#writer.close('portal', '').unended();
    return { message, closings: this.#closings + 1 };
  }
}
