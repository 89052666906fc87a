/**
 * Built-in functions that do something, or whose result depends on the server, the session or the moment; by name,
 * for PostgreSQL 14 to 18. docs/reference/routing.md lists the groups for users.
 *
 * nextval, setval, currval, lastval, set_config and now are known to `facts` by name, because their arguments count.
 */

import { builtinVolatility } from './builtin-functions.ts';
import type { Nondeterminism, PinReason, Route } from './statement.ts';

export interface FunctionEffect {
  readonly route: Route;
  /** What the call does, for the reason of a route: `calls pg_notify()` is put before it. */
  readonly because: string | undefined;
  readonly pin: PinReason | undefined;
  /** What it may end. */
  readonly unpin: PinReason | undefined;
  /** How its result differs; undefined where it has none that counts. */
  readonly result: Nondeterminism['kind'] | undefined;
}

/** Of pprox's own tables and functions, on the lead alone: a standby may be behind, and followers have none (src/commit/decisions.ts). */
export const OWN_SCHEMA = 'pprox';

interface Group {
  readonly route: Route;
  readonly because?: string;
  readonly pin?: PinReason;
  readonly unpin?: PinReason;
  readonly result?: Nondeterminism['kind'];
  readonly names: string;
}

/** Of functions that read relations, or cursors, which a text of theirs names: a view among them may call anything. */
export const READS_NAMED = 'reads what its text names';

/** Of functions that are given the text of a query, which may call anything. */
export const RUNS_TEXT = 'runs SQL text';

const LARGE_OBJECT = 'large object';

/** What several of them leave in one depends on which comes last. */
export const FILLS_LARGE_OBJECT = 'fills a large object';

const ACTS = 'acts on the server';
const EMITS = 'message in the WAL';

const groups: readonly Group[] = [
  // ---- Durable effects: on every writer -------------------------------------------------------------------------
  {
    // The identifier is the server's choice unless it is given.
    route: 'writers',
    because: LARGE_OBJECT,
    result: 'volatile',
    names: 'lo_creat lo_create lo_import',
  },
  { route: 'writers', because: FILLS_LARGE_OBJECT, result: 'volatile', names: 'lo_from_bytea' },
  {
    // Descriptors and positions too: a later lowrite needs them where it runs.
    route: 'writers',
    because: LARGE_OBJECT,
    names: 'lo_open lo_close lo_lseek lo_lseek64 loread lo_unlink',
  },
  { route: 'writers', because: FILLS_LARGE_OBJECT, names: 'lowrite lo_put lo_truncate lo_truncate64' },
  { route: 'writers', because: EMITS, result: 'server', names: 'pg_logical_emit_message' },
  {
    route: 'writers',
    because: 'changes the catalog',
    result: 'server',
    names: `pg_import_system_collations pg_extension_config_dump pg_clear_attribute_stats pg_clear_relation_stats
      pg_restore_attribute_stats pg_restore_relation_stats`,
  },
  {
    route: 'writers',
    because: 'index maintenance',
    result: 'server',
    names: 'brin_desummarize_range brin_summarize_new_values brin_summarize_range gin_clean_pending_list',
  },
  {
    route: 'writers',
    because: RUNS_TEXT,
    pin: 'volatile function',
    result: 'volatile',
    names: 'query_to_xml query_to_xml_and_xmlschema query_to_xmlschema ts_rewrite ts_stat',
  },

  // ---- On the lead: bound to the session ------------------------------------------------------------------------
  {
    // Relations named as data, a session's cursor.
    route: 'lead',
    because: READS_NAMED,
    result: 'server',
    names: `cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema database_to_xmlschema
      schema_to_xml schema_to_xml_and_xmlschema schema_to_xmlschema table_to_xml table_to_xml_and_xmlschema
      table_to_xmlschema`,
  },
  {
    route: 'lead',
    because: 'advisory lock',
    pin: 'advisory lock',
    result: 'server',
    names: 'pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared',
  },
  {
    route: 'lead',
    because: 'advisory lock',
    unpin: 'advisory lock',
    result: 'server',
    names: 'pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared',
  },
  {
    route: 'lead',
    because: 'advisory lock',
    result: 'server',
    names: `pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared`,
  },
  { route: 'lead', because: 'notification', names: 'pg_notify' },
  { route: 'lead', because: 'seeds the session', pin: 'setting', names: 'setseed' },
  {
    route: 'lead',
    because: 'session state',
    pin: 'volatile function',
    result: 'server',
    names: `pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup pg_export_snapshot
      pg_replication_origin_session_reset pg_replication_origin_session_setup pg_replication_origin_xact_reset
      pg_replication_origin_xact_setup pg_create_logical_replication_slot pg_create_physical_replication_slot
      pg_copy_logical_replication_slot pg_copy_physical_replication_slot`,
  },
  {
    // Its descriptors exist there; large objects are not replicated by subscriptions.
    route: 'lead',
    because: LARGE_OBJECT,
    names: 'lo_get lo_tell lo_tell64',
  },
  {
    route: 'lead',
    because: LARGE_OBJECT,
    result: 'server',
    names: 'lo_export',
  },

  // ---- On the lead: acts on one server --------------------------------------------------------------------------
  {
    route: 'lead',
    because: ACTS,
    result: 'server',
    names: `pg_cancel_backend pg_create_restore_point pg_drop_replication_slot pg_log_backend_memory_contexts
      pg_log_standby_snapshot pg_logical_slot_get_binary_changes pg_logical_slot_get_changes
      pg_logical_slot_peek_binary_changes pg_logical_slot_peek_changes pg_nextoid pg_promote pg_reload_conf
      pg_replication_origin_advance pg_replication_origin_create pg_replication_origin_drop
      pg_replication_slot_advance pg_rotate_logfile pg_stop_making_pinned_objects pg_switch_wal
      pg_sync_replication_slots pg_terminate_backend pg_wal_replay_pause pg_wal_replay_resume`,
  },

  // ---- On the lead: tells about one server or session; pg_stat_* is added below ---------------------------------
  {
    route: 'lead',
    because: 'tells about the server',
    result: 'server',
    names: `current_setting inet_client_addr inet_client_port inet_server_addr inet_server_port version
      icu_unicode_version mxid_age pg_available_extension_versions pg_available_extensions
      pg_available_wal_summaries pg_backend_pid pg_backup_start_time pg_blocking_pids
      pg_collation_actual_version pg_conf_load_time pg_config pg_control_checkpoint pg_control_init
      pg_control_recovery pg_control_system pg_current_logfile pg_current_snapshot pg_current_wal_flush_lsn
      pg_current_wal_insert_lsn pg_current_wal_lsn pg_current_xact_id pg_current_xact_id_if_assigned pg_cursor
      pg_database_collation_actual_version pg_extension_update_paths pg_get_aios pg_get_backend_memory_contexts
      pg_get_loaded_modules pg_get_multixact_members pg_get_replication_slots pg_get_sequence_data
      pg_get_shmem_allocations pg_get_shmem_allocations_numa pg_get_wait_events pg_get_wal_replay_pause_state
      pg_get_wal_resource_managers pg_get_wal_summarizer_state pg_hba_file_rules pg_ident_file_mappings
      pg_is_in_backup pg_is_in_recovery pg_is_other_temp_schema pg_is_wal_replay_paused
      pg_isolation_test_session_is_blocked pg_jit_available pg_last_committed_xact pg_last_wal_receive_lsn
      pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_listening_channels pg_lock_status
      pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir
      pg_ls_summariesdir pg_ls_tmpdir pg_ls_waldir pg_my_temp_schema pg_notification_queue_usage
      pg_numa_available pg_postmaster_start_time pg_prepared_statement pg_prepared_xact pg_read_binary_file
      pg_read_file pg_replication_origin_oid pg_replication_origin_progress
      pg_replication_origin_session_is_setup pg_replication_origin_session_progress
      pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_show_all_file_settings pg_show_all_settings
      pg_show_replication_origin_status pg_tablespace_databases pg_tablespace_location
      pg_wal_summary_contents pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_xact_status
      currtid2 txid_current txid_current_if_assigned txid_current_snapshot txid_status`,
  },

  // ---- Anywhere in a read; another result on another server -----------------------------------------------------
  {
    route: 'reader',
    result: 'server',
    names: `current_query getpgusername system_user pg_column_compression pg_column_size pg_column_toast_chunk_id
      pg_database_size pg_filenode_relation pg_indexes_size pg_partition_ancestors
      pg_partition_tree pg_relation_filenode pg_relation_filepath pg_relation_size pg_table_size
      pg_tablespace_size pg_total_relation_size to_regclass to_regcollation to_regnamespace to_regoper
      to_regoperator to_regproc to_regprocedure to_regrole to_regtype regclass unicode_version`,
  },

  // ---- Anywhere in a read; another result each time -------------------------------------------------------------
  {
    route: 'reader',
    result: 'volatile',
    names: `array_sample array_shuffle clock_timestamp gen_random_uuid random random_normal statement_timestamp
      timeofday uuidv4 uuidv7`,
  },
  // Their result is void.
  { route: 'reader', names: 'pg_sleep pg_sleep_for pg_sleep_until' },
  { route: 'reader', names: 'amvalidate plpgsql_validator' },
];

const effects = new Map<string, FunctionEffect>();
for (const { route, because, pin, unpin, result, names } of groups) {
  for (const name of names.trim().split(/\s+/)) {
    // The first group that names a function decides.
    if (!effects.has(name)) effects.set(name, { route, because, pin, unpin, result });
  }
}

const statistics: FunctionEffect = {
  route: 'lead',
  because: 'statistics of the server',
  pin: undefined,
  unpin: undefined,
  result: 'server',
};

/** What calling the built-in function of this name does; undefined for most. */
export function functionEffect(name: string): FunctionEffect | undefined {
  return effects.get(name) ?? (name.startsWith('pg_stat_') ? statistics : undefined);
}

/** What the call does, where that is kept on the server. */
export function durableEffect(name: string): string | undefined {
  const effect = functionEffect(name);
  return effect?.route === 'writers' ? effect.because : undefined;
}

/** Whether it makes, changes or removes large objects, or moves within one. */
export function usesLargeObjects(name: string): boolean {
  const does = durableEffect(name);
  return does === LARGE_OBJECT || does === FILLS_LARGE_OBJECT;
}

/** Functions whose result is the client's in another way: a number of ours, sequences that are followed, channels. */
const notAsTheyAre: ReadonlySet<string> = new Set(
  'pg_backend_pid pg_listening_channels nextval setval currval lastval set_config'.split(' '),
);

/**
 * Whether the built-in function of this name changes nothing, and may be called by whoever asks, on whatever server.
 * `volatility`: as the catalog has it.
 */
export function isHarmless(name: string, volatility: 'volatile' | 'other'): boolean {
  if (notAsTheyAre.has(name)) return false;
  const effect = functionEffect(name);
  if (effect === undefined) return volatility === 'other' || builtinVolatility(name) !== undefined;
  if (effect.pin !== undefined || effect.unpin !== undefined) return false;
  if (effect === statistics) return name.startsWith('pg_stat_get_');
  return effect.route === 'reader' || effect.because === 'tells about the server';
}

/** Built-in functions that may return more than one row: an INSERT from one has no known number of rows. */
const setReturning = new Set(
  `_pg_expandarray aclexplode generate_series generate_subscripts json_array_elements json_array_elements_text
  json_each json_each_text json_object_keys json_populate_recordset json_to_recordset jsonb_array_elements
  jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys jsonb_path_query jsonb_path_query_tz
  jsonb_populate_recordset jsonb_to_recordset pg_options_to_table pg_snapshot_xip pg_timezone_abbrevs
  pg_timezone_abbrevs_abbrevs pg_timezone_abbrevs_zone pg_timezone_names regexp_matches regexp_split_to_table
  string_to_table ts_debug ts_parse ts_stat ts_token_type txid_snapshot_xip unnest pg_get_keywords
  pg_get_catalog_foreign_keys pg_get_publication_tables pg_mcv_list_items`
    .trim()
    .split(/\s+/),
);

/** Whether the built-in function of this name may return several rows; those about the server are left out. */
export function returnsSet(name: string): boolean {
  return setReturning.has(name) || effects.get(name)?.because === 'tells about the server';
}

/**
 * Views of pg_catalog about one server, its sessions or its settings; pg_stat_* and pg_statio_* besides. A client
 * that asks them means the server it believes to be connected to: the lead.
 */
const serverViews = new Set(
  `pg_aios pg_available_extension_versions pg_available_extensions pg_backend_memory_contexts pg_config pg_cursors
  pg_file_settings pg_hba_file_rules pg_ident_file_mappings pg_locks pg_prepared_statements pg_prepared_xacts
  pg_replication_origin_status pg_replication_slots pg_sequences pg_settings pg_shmem_allocations
  pg_shmem_allocations_numa pg_wait_events`
    .trim()
    .split(/\s+/),
);

export function isServerView(name: string): boolean {
  return serverViews.has(name) || name.startsWith('pg_stat_') || name.startsWith('pg_statio_');
}

/** Of what they do no rollback takes back anything, the session's state aside. */
export const OUTLASTING_FUNCTIONS: ReadonlySet<string> = new Set(
  [...effects].flatMap(([name, { because }]) => (because === ACTS || because === EMITS ? [name] : [])),
);
