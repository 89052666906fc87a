/** Start-up of a server connection: authentication as a client, parameters, cancel key (PostgreSQL, "Start-up"). */
import { md5Response } from '../auth/md5.ts';
import { certificateHash } from '../auth/certificate-hash.ts';
import {
  type ChannelBinding,
  SCRAM_SHA_256,
  SCRAM_SHA_256_PLUS,
  type ScramState,
  scramFinal,
  scramFirst,
  scramVerify,
} from '../auth/scram.ts';
import type { Tls } from '../config/config.ts';
import { assert } from '../lib/assert.ts';
import { decodeBackendKeyData } from '../wire/backend.ts';
import { decodeErrorFields, type ErrorFields } from '../wire/error-fields.ts';
import { Watch, type WatchTable } from '../wire/frame-scan.ts';
import { encodePassword, encodeSaslInitialResponse, encodeSaslResponse } from '../wire/frontend.ts';
import { MessageReader } from '../wire/reader.ts';
import { BackendTag, HEADER_BYTES } from '../wire/tags.ts';
import type { Lost, Receiver } from './receiver.ts';

export type HandshakeFailure =
  /** The server refused, in its own words; `frame` is its ErrorResponse as it came. */
  | {
      readonly kind: 'refused';
      readonly stage: 'before authentication' | 'after authentication';
      readonly fields: ErrorFields;
      readonly frame: Buffer;
    }
  | { readonly kind: 'lost'; readonly lost: Lost }
  /** This process has nothing left to open a connection with: it says nothing about the server. */
  | { readonly kind: 'no resources'; readonly message: string }
  /** It asks for something that pprox or the DSN cannot give. */
  | { readonly kind: 'unsupported'; readonly message: string };

export interface HandshakeResult {
  readonly processId: number;
  readonly secretKey: Buffer;
  /** What the server had to say at the start (a truncated name, …), as it came. */
  readonly notices: readonly Buffer[];
}

interface HandshakeOptions {
  readonly user: string;
  readonly password: string | undefined;
  /** The server's, DER; undefined where the connection is not encrypted. */
  readonly certificate: Buffer | undefined;
  readonly channelBinding: Tls['channelBinding'];
  send(bytes: Buffer): void;
  done(result: HandshakeResult): void;
  failed(failure: HandshakeFailure): void;
}

const TAKE_ALL: WatchTable = new Uint8Array(256).fill(Watch.take);

/** AuthenticationXxx request codes. */
const Auth = { Ok: 0, CleartextPassword: 3, MD5Password: 5, SASL: 10, SASLContinue: 11, SASLFinal: 12 } as const;

export class Handshake implements Receiver {
  readonly watch = TAKE_ALL;
  readonly #options: HandshakeOptions;
  #scram: ScramState | undefined;
  #binding: ChannelBinding = { kind: 'none' };
  #key: { processId: number; secretKey: Buffer } = { processId: 0, secretKey: Buffer.alloc(0) };
  readonly #notices: Buffer[] = [];
  #stage: 'before authentication' | 'after authentication' = 'before authentication';

  constructor(options: HandshakeOptions) {
    this.#options = options;
  }

  run(): void {
    return undefined;
  }

  tap(): void {
    return undefined;
  }

  flush(): void {
    return undefined;
  }

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    if (tag === BackendTag.Authentication) {
      try {
        this.#authenticate(new MessageReader(chunk, start + HEADER_BYTES, end));
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        this.#options.failed({ kind: 'unsupported', message: `authentication failed: ${message}` });
      }
    } else if (tag === BackendTag.BackendKeyData) {
      this.#key = decodeBackendKeyData(chunk, start, end);
    } else if (tag === BackendTag.NoticeResponse) {
      this.#notices.push(Buffer.from(chunk.subarray(start, end)));
    } else if (tag === BackendTag.ErrorResponse) {
      const frame = Buffer.from(chunk.subarray(start, end));
      const fields = decodeErrorFields(chunk, start, end);
      this.#options.failed({ kind: 'refused', stage: this.#stage, fields, frame });
    }
  }

  ready(): void {
    this.#options.done({ ...this.#key, notices: this.#notices });
  }

  lost(lost: Lost): void {
    this.#options.failed({ kind: 'lost', lost });
  }

  #authenticate(reader: MessageReader): void {
    const { user, password, channelBinding, send } = this.#options;
    const code = reader.int32();
    if (code === Auth.Ok) {
      // A server that skips its own proof would be trusted blindly.
      if (this.#scram !== undefined)
        assert(this.#scram.kind === 'verified', 'SCRAM ended without the server signature');
      if (channelBinding === 'require' && this.#binding.kind !== 'tls-server-end-point') {
        throw new Error('channel binding required, but server authenticated client without channel binding');
      }
      this.#stage = 'after authentication';
      return;
    }
    if (channelBinding === 'require' && code !== Auth.SASL && this.#scram === undefined) {
      throw new Error("channel binding required but not supported by server's authentication request");
    }
    if (code === Auth.CleartextPassword) send(encodePassword(this.#required(password)));
    else if (code === Auth.MD5Password)
      send(encodePassword(md5Response(user, this.#required(password), reader.bytes(4))));
    else if (code === Auth.SASL) {
      const mechanisms: string[] = [];
      for (let name = reader.cstring(); name !== ''; name = reader.cstring()) mechanisms.push(name);
      this.#binding = this.#bind(mechanisms);
      this.#required(password);
      const first = scramFirst(this.#binding);
      this.#scram = first;
      const bound = this.#binding.kind === 'tls-server-end-point';
      send(encodeSaslInitialResponse(bound ? SCRAM_SHA_256_PLUS : SCRAM_SHA_256, first.message));
    } else if (code === Auth.SASLContinue && this.#scram?.kind === 'first sent') {
      const final = scramFinal(this.#scram, reader.rest().toString('utf8'), this.#required(password));
      this.#scram = final;
      send(encodeSaslResponse(final.message));
    } else if (code === Auth.SASLFinal && this.#scram?.kind === 'final sent') {
      this.#scram = scramVerify(this.#scram, reader.rest().toString('utf8'));
    } else throw new Error(`the server asks for authentication method ${code}, which is not supported`);
  }

  /** The strongest mechanism of those offered that the DSN allows, as what it is bound to; libpq's rules and words. */
  #bind(mechanisms: readonly string[]): ChannelBinding {
    const { certificate, channelBinding } = this.#options;
    if (channelBinding === 'require' && certificate === undefined) {
      throw new Error('channel binding required, but SSL not in use');
    }
    if (mechanisms.includes(SCRAM_SHA_256_PLUS)) {
      if (certificate === undefined) {
        // Somebody between us may have taken the encryption away.
        throw new Error('server offered SCRAM-SHA-256-PLUS authentication over a non-SSL connection');
      }
      if (channelBinding !== 'disable') {
        const hash = certificateHash(certificate);
        if (hash === undefined) {
          throw new Error("could not find a digest for the signature of the server's certificate (channel_binding)");
        }
        return { kind: 'tls-server-end-point', hash };
      }
    }
    if (!mechanisms.includes(SCRAM_SHA_256)) throw new Error(`the server offers ${mechanisms.join(', ')} only`);
    if (channelBinding === 'require') {
      throw new Error(
        'channel binding is required, but server did not offer an authentication method that supports channel binding',
      );
    }
    return { kind: certificate === undefined || channelBinding === 'disable' ? 'none' : 'not offered' };
  }

  #required(password: string | undefined): string {
    if (password === undefined) throw new Error('the server asks for a password and the DSN has none');
    return password;
  }
}
