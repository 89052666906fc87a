import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHarmless } from '../../../src/sql/function-effects.ts';

const names = (list: string): string[] => list.trim().split(/\s+/);

test('functions that only tell something are harmless', () => {
  for (const name of names('abs int4pl to_char version current_setting pg_stat_get_numscans pg_get_viewdef'))
    assert.ok(isHarmless(name, 'other'), name);
  for (const name of names('random clock_timestamp')) assert.ok(isHarmless(name, 'volatile'), name);
});

test('functions that do something, or may, are not', () => {
  const volatile = `nextval setval currval set_config pg_notify pg_advisory_lock pg_advisory_unlock_all
    pg_advisory_xact_lock lo_unlink lo_get pg_terminate_backend pg_reload_conf pg_stat_reset pg_stat_clear_snapshot
    query_to_xml setseed pg_export_snapshot pg_create_restore_point of_a_user`;
  for (const name of names(volatile)) assert.ok(!isHarmless(name, 'volatile'), name);
  const stable = 'pg_backend_pid pg_listening_channels table_to_xml ts_stat';
  for (const name of names(stable)) assert.ok(!isHarmless(name, 'other'), name);
});
