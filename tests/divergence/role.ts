/** A role that is no superuser, for cases about privileges and row-level security. */
export const ROLE = 'battery';
