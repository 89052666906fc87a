/** `PROXY_ADDR`: where clients connect. */
import { isIPv4, isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { ListenAddress } from './config.ts';
import type { Mistake } from './problem.ts';

export const defaultPort = 54_329;

/** `sun_path` of Linux holds 108 bytes and macOS 104, each with a closing zero; a longer path is cut without a word. */
const socketPathBytes = 103;

export type AddressResult =
  | { readonly kind: 'address'; readonly address: ListenAddress }
  | ({ readonly kind: 'invalid' } & Mistake);

const forms = 'Write :54329, host:54329, [::1]:54329, *:54329, or an absolute path for a Unix socket.';

function invalid(message: string, hint: string = forms): AddressResult {
  return { kind: 'invalid', message, hint };
}

/**
 * Reads `:port`, `*:port`, `host:port`, `[ipv6]:port`, an absolute path, or a folder, in which the socket gets the name that
 * libpq looks for (`.s.PGSQL.54329`). Port 0 is a free port of the system's choice.
 */
export function parseAddress(text: string, isFolder: (path: string) => boolean): AddressResult {
  if (text.startsWith('/')) return parseSocketPath(text, isFolder);
  if (text.includes('://')) return invalid('is an address to listen on, not a DSN');
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d*)$/.exec(text);
  if (parts === null) return invalid(diagnose(text));
  const [, bracketed, plain = '', digits = ''] = parts;
  if (!/^\d{1,5}$/.test(digits) || Number(digits) > 65_535) return invalid('the port must be 0 to 65535');
  const port = Number(digits);
  if (bracketed !== undefined) {
    if (!isIPv6(bracketed)) return invalid('the brackets do not hold an IPv6 address');
    return { kind: 'address', address: { kind: 'tcp', host: bracketed, port } };
  }
  if (plain === '' || plain === '*') return { kind: 'address', address: { kind: 'tcp', host: undefined, port } };
  if (!isHostName(plain)) return invalid('the host is neither a host name nor an address');
  return { kind: 'address', address: { kind: 'tcp', host: plain, port } };
}

function parseSocketPath(text: string, isFolder: (path: string) => boolean): AddressResult {
  const path = text.endsWith('/') || isFolder(text) ? join(text, `.s.PGSQL.${defaultPort}`) : text;
  if (Buffer.byteLength(path) > socketPathBytes) {
    return invalid(`the path of a Unix socket can have ${socketPathBytes} bytes at most`, 'Use a shorter path.');
  }
  return { kind: 'address', address: { kind: 'unix', path } };
}

function diagnose(text: string): string {
  if (/^\d+$/.test(text)) return 'a port is written with a colon before it';
  if (isIPv6(text) || (text.match(/:/g)?.length ?? 0) > 1) return 'an IPv6 address is written in brackets, with a port';
  if (/^\.{0,2}\//.test(text)) return 'the path of a Unix socket must be absolute';
  if (isHostName(text)) return 'has no port';
  return 'is not an address';
}

/** Letters, digits, hyphens, underscores and dots; what consists of digits and dots only must be an IPv4 address. */
export function isHostName(text: string): boolean {
  if (/^[\d.]+$/.test(text)) return isIPv4(text);
  return text.length <= 255 && /^(?!-)[\p{L}\p{N}_-]+(?:\.[\p{L}\p{N}_-]+)*\.?$/u.test(text);
}

/** Whether only programs of this machine can connect. A name other than `localhost` is taken for a public one. */
export function isLocal(address: ListenAddress): boolean {
  if (address.kind === 'unix') return true;
  return address.host !== undefined && isLoopback(address.host);
}

export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === 'localhost' || name === '::1' || (isIPv4(name) && name.startsWith('127.'));
}

/** As it is written in `PROXY_ADDR`. */
export function formatAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return address.path;
  return formatHostPort(address.host ?? '*', address.port);
}

/** IPv6 addresses in brackets. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(':') && !host.startsWith('/') ? `[${host}]:${port}` : `${host}:${port}`;
}
