/**
 * Built-in functions that compute the same on every server, by name: no collation, no floating-point library, no table of zones, no
 * version of PostgreSQL counts (quote_ident() knows the keywords of one). What is not here may differ from server to server.
 */

const PORTABLE: ReadonlySet<string> = new Set(
  `abs ceil ceiling floor round trunc mod div sign gcd lcm min_scale scale trim_scale width_bucket
  array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions
  array_prepend array_remove array_replace array_upper cardinality trim_array
  ascii bit_count bit_length btrim char_length character_length chr concat concat_ws convert_from convert_to decode encode
  get_bit get_byte left length lpad ltrim md5 octet_length overlay position quote_literal quote_nullable repeat
  replace reverse right rpad rtrim set_bit set_byte sha224 sha256 sha384 sha512 split_part starts_with strpos substr
  substring to_hex translate
  json_array_length json_build_array json_build_object json_extract_path json_extract_path_text json_typeof jsonb_array_length
  jsonb_build_array jsonb_build_object jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_set
  jsonb_strip_nulls jsonb_typeof row_to_json to_json to_jsonb
  int2 int4 int8 numeric text bool num_nonnulls num_nulls make_date make_interval make_time make_timestamp
  count min max sum bool_and bool_or every bit_and bit_or
  now transaction_timestamp nextval setval currval lastval set_config current_setting`
    .trim()
    .split(/\s+/),
);

export function isPortable(name: string): boolean {
  return PORTABLE.has(name);
}
