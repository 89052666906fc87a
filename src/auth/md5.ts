/** MD5 password authentication (PostgreSQL, "Authentication Protocol", AuthenticationMD5Password). */
import { createHash } from 'node:crypto';

function md5(...parts: (string | Uint8Array)[]): string {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** `salt`: the four bytes that the server sent. */
export function md5Response(user: string, password: string, salt: Uint8Array): string {
  return `md5${md5(md5(password, user), salt)}`;
}
