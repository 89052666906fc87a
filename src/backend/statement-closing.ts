/** Closing prepared statements of a server session, by their names there. */
import { ExtendedWriter } from '../wire/extended.ts';
import type { Backend } from './backend.ts';
import { BackendLostError, Collector } from './receiver.ts';

/** Names that the server session does not have are none of its errors. */
export async function closeStatements(backend: Backend, names: Iterable<string>): Promise<void> {
  const writer = new ExtendedWriter();
  for (const name of names) writer.close('statement', name);
  const collector = new Collector();
  backend.send(writer.sync(), collector);
  try {
    await collector.reply;
  } catch (error) {
    if (!(error instanceof BackendLostError)) throw error;
  }
}
